"""What a server says of itself: its models, and its window (prompt and answer together), wherever it says that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

# In the entry of a model: vLLM and SGLang, then routers and hosted services, then LM Studio.
_WINDOW_FIELDS = (
    "max_model_len",
    "context_length",
    "max_context_length",
    "context_window",
    "loaded_context_length",
    "n_ctx",
)
# Where else a server may tell it, from its root: the path, and the field in the answer.
WINDOW_PATHS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("props", ("default_generation_settings", "n_ctx")),  # llama.cpp
    ("info", ("max_total_tokens",)),  # TGI
    ("get_server_info", ("context_length",)),  # SGLang
)


@dataclass(frozen=True, slots=True)
class Model:
    """One model that a server lists; `window` in tokens, 0 where it is not told."""

    name: str
    window: int = 0
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Server:
    """The model in use. `keeps_stops`: it keeps the stop string in the text when asked to, as vLLM does."""

    model: str
    window: int
    keeps_stops: bool


def read_models(body: bytes) -> list[Model]:
    """The models in a list of models, whatever its shape; none where it is no list."""
    document = _decode(body)
    entries = document.get("data", document.get("models")) if isinstance(document, dict) else document
    if not isinstance(entries, list):
        return []
    return [_model(entry) for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str)]


async def ask_window(get: Callable[[str], Awaitable[bytes | None]]) -> int:
    """The window that the server tells outside its list of models, or 0. `get` fetches a path from its root."""
    for path, fields in WINDOW_PATHS:
        body = await get(path)
        value: Any = None if body is None else _decode(body)
        for field in fields:
            value = value.get(field) if isinstance(value, dict) else None
        if window := _positive(value):
            return window
    return 0


def _model(entry: dict[str, Any]) -> Model:
    meta = entry.get("meta")
    places = [entry, meta] if isinstance(meta, dict) else [entry]
    windows = [_positive(place.get(field)) for place in places for field in _WINDOW_FIELDS]
    owner = entry.get("owned_by")
    return Model(entry["id"], next(filter(None, windows), 0), owner if isinstance(owner, str) else "")


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _positive(value: Any) -> int:
    return value if type(value) is int and 0 < value < 2**31 else 0
