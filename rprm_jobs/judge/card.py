"""The card in a judge's folder, which says how it is asked, and the names of both kinds of cards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from rprm_jobs.errors import ConfigError

JUDGE_CARD, POLICY_CARD = "rprm_judge.json", "rprm_policy.json"


class JudgeCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`rprm_judge.json` in a judge's folder: its family, prompt file, system message and own sampling defaults.

    `family` is a family's name, or an object that says which one it is like and what differs.
    """

    family: str | dict[str, Any] | None = None
    prompt: str | None = None
    system_prompt: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_new_tokens: int | None = None


def read_card(path: Path) -> JudgeCard:
    """The card, an empty one where there is no such file. Raises ConfigError for one that cannot be read."""
    if not path.exists():
        return JudgeCard()
    try:
        return msgspec.json.decode(path.read_bytes(), type=JudgeCard)
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(f"the judge's card cannot be read: {error}", where=str(path), hint="correct it") from error
