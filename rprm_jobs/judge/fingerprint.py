"""Digests of weights, by which two models with equal names are told apart."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from rprm_jobs.judge.folder import WEIGHTS

_WHOLE = 64 * 1024 * 1024
_SAMPLE = 4 * 1024 * 1024


def fingerprint_folder(folder: Path) -> str:
    """Hex SHA-256 over the model's files. Of a file over 64 MB the size and 16 evenly spread samples count.

    Sampling keeps a submit of a 15 GB judge under a second; training changes every tensor, so it cannot hide there.
    """
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if _counts(p)):
        digest_file(path, digest)
    return digest.hexdigest()


def digest_file(path: Path, digest: Any) -> None:
    """Add a file's name, size and content to `digest`, sampled as `fingerprint_folder` does."""
    size = path.stat().st_size
    digest.update(f"{path.name}\x00{size}\x00".encode())
    with path.open("rb") as file:
        if size <= _WHOLE:
            digest.update(file.read())
            return
        for i in range(16):
            file.seek((size - _SAMPLE) * i // 15)
            digest.update(file.read(_SAMPLE))


def _counts(path: Path) -> bool:
    names = {
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "generation_config.json",
    }
    return path.is_file() and (path.name in names or path.suffix in WEIGHTS)
