"""Judge the steps of sampled solutions offline with a reasoning process reward model (R-PRM)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rprm_jobs.client import AsyncClient, Client

__version__ = "0.1.0"
__all__ = ["AsyncClient", "Client"]


def __getattr__(name: str) -> Any:
    # The client loads the store's libraries, which a command's --help does without.
    if name in __all__:
        from rprm_jobs import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
