"""A LoRA adapter's folder as PEFT writes it: what it holds, the base that it names, and its digest.

An adapter changes what its base says, so it is a judge of its own and has another fingerprint than the base.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rprm_jobs.errors import JudgeError
from rprm_jobs.judge.architecture import check_heads, weight_names
from rprm_jobs.judge.fingerprint import digest_file
from rprm_jobs.judge.folder import ADAPTER_CONFIG, ADAPTER_WEIGHTS, MERGE, check_pointers, is_adapter

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w.-]+)?")
_PREFIX = "base_model.model."
_BASE = "base_model_name_or_path"
# Where the base is and whether the adapter was loaded to be trained: none of it changes what is computed.
_NOT_OF_THE_MODEL = frozenset({_BASE, "revision", "inference_mode"})
# The starts of training that leave the base as it is. Others (PiSSA, OLoRA, LoftQ, CorDA) subtract from its weights
# first, and the adapter belongs to what was left.
_PLAIN_STARTS = ("gaussian", "eva", "orthogonal", "mica", "lora_ga", "true", "false")


@dataclass(frozen=True, slots=True)
class Adapter:
    """One adapter: its absolute folder, `adapter_config.json`, and the names of its weights in the file."""

    folder: Path
    config: Mapping[str, Any]
    weights: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its folder's name; with the one above where it is just called "adapter", as training calls it."""
        folder = self.folder
        return f"{folder.parent.name}-{folder.name}" if folder.name == "adapter" else folder.name

    def base(self) -> str:
        """The absolute folder or the hub id of its base. Raises JudgeError when it names none that is there."""
        where, named = str(self.folder / ADAPTER_CONFIG), self.config.get(_BASE)
        hint = f"write the base's folder or hub id there, as {_BASE}"
        if not isinstance(named, str) or not named.strip():
            raise JudgeError("the adapter does not say which model it belongs to", where=where, hint=hint)
        path = Path(named).expanduser()
        # An absolute path stays what it is behind another folder.
        for folder in (self.folder / path, path):
            if folder.is_dir():
                return self._whole(folder.resolve())
        if not HUB_ID.fullmatch(named):
            raise JudgeError(f"the model that the adapter belongs to is not here: {named}", where=where, hint=hint)
        revision = self.config.get("revision")
        return f"{named}@{revision}" if revision and "@" not in named else named

    def _whole(self, base: Path) -> str:
        if is_adapter(base):
            raise JudgeError(
                f"the model that the adapter belongs to is an adapter itself: {base}",
                where=str(self.folder / ADAPTER_CONFIG),
                hint=f"merge that one into its base (PEFT's merge_and_unload), and write the merged folder as {_BASE}",
            )
        return str(base)

    def fingerprint(self, base: str) -> str:
        """Hex SHA-256 of the base's fingerprint, the adapter's weights, and what its configuration says of them."""
        digest = hashlib.sha256(f"adapter\x00{base}\x00".encode())
        digest_file(self.folder / ADAPTER_WEIGHTS, digest)
        stated = {name: value for name, value in self.config.items() if name not in _NOT_OF_THE_MODEL}
        digest.update(json.dumps(stated, sort_keys=True).encode())
        return digest.hexdigest()


def read_adapter(folder: Path) -> Adapter:
    """The adapter in `folder`. Raises JudgeError for one that is not complete, or that cannot be added to its base."""
    check_pointers(folder)
    if not (folder / ADAPTER_WEIGHTS).is_file():
        pickled = (folder / "adapter_model.bin").is_file()
        raise JudgeError(
            "the adapter's weights are pickled" if pickled else "the adapter's weights are missing",
            where=str(folder),
            hint=f"put {ADAPTER_WEIGHTS} there, as PEFT's save_pretrained writes it",
        )
    adapter = Adapter(folder, _read_config(folder / ADAPTER_CONFIG), tuple(weight_names(folder / ADAPTER_WEIGHTS)))
    _check(adapter)
    return adapter


def _read_config(path: Path) -> Mapping[str, Any]:
    what = "it is no JSON object"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        config, what = None, str(error)
    if not isinstance(config, dict):
        raise JudgeError(
            f"the adapter's configuration cannot be read: {what}",
            where=str(path),
            hint="name the folder that PEFT's save_pretrained wrote",
        )
    return config


def _check(adapter: Adapter) -> None:
    config, where = adapter.config, str(adapter.folder)
    kind = config.get("peft_type")
    if kind != "LORA":
        raise JudgeError(f"it is an adapter of type {kind}, and only LORA is known", where=where, hint=MERGE)
    if not any("lora_" in name for name in adapter.weights):
        raise JudgeError(
            "the adapter's file holds no LoRA weights that can be read",
            where=str(adapter.folder / ADAPTER_WEIGHTS),
            hint="name the folder that PEFT's save_pretrained wrote",
        )
    start = config.get("init_lora_weights")
    if start is not None and str(start).lower() not in _PLAIN_STARTS:
        raise JudgeError(
            f"the adapter was trained with init_lora_weights={start}, which changes the base's weights as well",
            where=where,
            hint=f"save it as a plain adapter (PEFT's path_initial_model_for_weight_conversion), or {MERGE}",
        )
    if str(config.get("task_type")).endswith("_CLS"):
        raise JudgeError(f"the adapter is for {config['task_type']}, and writes nothing", where=where, hint=MERGE)
    check_heads((name.removeprefix(_PREFIX) for name in adapter.weights), where)
