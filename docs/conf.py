"""Sphinx's configuration: `make docs` builds this folder as a site, without network and without a warning."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]

project = "rprm-jobs"
version = release = re.findall(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[0]
copyright = "the rprm-jobs authors"
extensions = ["myst_parser"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"rprm-jobs {version}"
# Inventories and fonts of other sites would need a network.
intersphinx_mapping: dict[str, str] = {}
exclude_patterns = ["_site"]
