"""Whether a model writes, or has the head that its family reads. Another one would load and judge at random.

Looks at `config.json` and at the names in the weights; no model library is needed, and no weight is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rprm_jobs.errors import JudgeError
from rprm_jobs.judge.families.family import Family
from rprm_jobs.judge.families.table import FAMILIES

_WRITES = re.compile(r"(?:ForCausalLM|LMHeadModel|ForConditionalGeneration)$")
# What other architectures are, by a part of their name; the published step judges of each kind in brackets.
_OTHER_KINDS = (
    ("ProcessRewardModel", "a process reward model with a two-class head (as Qwen2.5-Math-PRM)"),
    ("EnsemblePRM", "a process reward model with an ensemble of heads (as ActPRM)"),
    ("PrmModel", "a process reward model with a value head (as Skywork-o1-Open-PRM)"),
    ("RewardModel", "a reward model"),
    ("TokenClassification", "a token classifier (as PURE-PRM, Math-Minos)"),
    ("SequenceClassification", "a sequence classifier, which most outcome reward models are"),
    ("QuestionAnswering", "an extractive question answerer"),
    ("MaskedLM", "a masked language model"),
    ("Model", "a bare encoder without a language head"),
)
_HEAD = re.compile(
    r"^(?:model\.|pretrained_model\.)?(v_head|value_head|reward_head|score_head|score|classifier|regression_head)\."
)
_HEADS = {
    "v_head": "a value head (as Skywork-o1-Open-PRM, and models after PPO)",
    "value_head": "a value head",
    "score": "a scoring head (as Qwen2.5-Math-PRM, and most outcome reward models)",
    "score_head": "a scoring head (as ReasonEval)",
    "reward_head": "a reward head (as ReasonFlux-PRM-1.5B)",
}
_HEAD_FILES = ("value_head.safetensors", "value_head.bin", "reward_head.pt", "v_head.pt")
_MOST_HEADER_BYTES = 100_000_000
_HINT = (
    "a judge writes a critique that ends in a verdict, as R-PRM's do; if it is of a family that scores, name that one"
    " with --family (list them: rprm-jobs judges --families)"
)


def check_writes(folder: Path) -> None:
    """Raise JudgeError when the model in `folder` is of a kind that writes no critiques, saying which."""
    check_architectures(architectures_in(folder), str(folder))
    for name in _HEAD_FILES:
        if (folder / name).is_file():
            raise JudgeError(f"it has a head that scores, in {name}", where=str(folder), hint=_HINT)
    for path in sorted(folder.glob("*.safetensors")):
        check_heads(weight_names(path), str(folder))


def architectures_in(folder: Path) -> list[str] | None:
    """The architectures that the folder's `config.json` names; None where it cannot be read or names none."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        # The engine will say what is wrong with it.
        return None
    names = config.get("architectures") if isinstance(config, dict) else None
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else None


def check_family(family: Family, architectures: list[str] | None, where: str) -> None:
    """Raise JudgeError when no model of these architectures can be of the family; None and [] can be any."""
    if family.writes:
        check_architectures(architectures, where)
        return
    row = FAMILIES.get(family.name)
    if row is None or not architectures or row.known_by.has_architecture(architectures):
        return
    expected = " or ".join(row.known_by.architectures)
    raise JudgeError(
        f"it is no model of family {family.name}: {architectures[0]} is not {expected}",
        where=where,
        hint="name the model's own family with --family (list them: rprm-jobs judges --families)",
    )


def check_architectures(architectures: Any, where: str) -> None:
    """Raise JudgeError when none of the names writes; nothing is known of a model without any."""
    names = [name for name in architectures if isinstance(name, str)] if isinstance(architectures, list) else []
    if not names or any(_WRITES.search(name) for name in names):
        return
    what = next((what for part, what in _OTHER_KINDS if part in names[0]), "no language model that this version knows")
    raise JudgeError(f"it writes no critiques: {names[0]} is {what}", where=where, hint=_HINT)


def check_heads(weights: Iterable[str], where: str) -> None:
    """Raise JudgeError when one of the weights belongs to a head that scores."""
    for name in weights:
        if head := _HEAD.match(name):
            what = _HEADS.get(head[1], "a classification head")
            raise JudgeError(f"it is trained to score, not to write: {name} is of {what}", where=where, hint=_HINT)


def weight_names(path: Path) -> list[str]:
    """The names in a safetensors file's header; none where it has none that can be read."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size)) if size <= _MOST_HEADER_BYTES else {}
    except (OSError, ValueError):
        return []
    return list(header) if isinstance(header, dict) else []
