"""What several shapes have."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]
Counts = dict[str, int]
Interval = tuple[float, float] | None
