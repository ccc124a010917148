"""From what a user types after `--policy` to a policy: the model that writes the solutions which a judge judges.

A policy is found as a judge is, by a shipped name, a folder or a hub id; how it is asked and how its text is read
stands in its own card, `rprm_policy.json`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import msgspec

from rprm_jobs.errors import ConfigError, JudgeError, NotFound
from rprm_jobs.judge.card import JUDGE_CARD, POLICY_CARD
from rprm_jobs.judge.resolve import Judge, card_folder, resolve_model
from rprm_jobs.types import Sampling
from rprm_jobs.words import counted

PROBLEM = "{problem}"
_SHIPPED = Path(str(files("rprm_jobs"))) / "policies"
DEFAULT_PROMPT = PROBLEM + "\n\nPlease reason step by step, and put your final answer within \\boxed{}."


class PolicyCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`prompt` holds `{problem}` once; steps end with `separator`.

    `answer_pattern` is a regular expression with one group that finds the final answer; "" means the last \\boxed{}.
    """

    prompt: str = DEFAULT_PROMPT
    separator: str = "\n\n"
    answer_pattern: str = ""
    temperature: float = 0.8
    top_p: float = 1.0
    max_new_tokens: int = 2048

    def __post_init__(self) -> None:
        if self.prompt.count(PROBLEM) != 1:
            raise ConfigError("the policy's prompt does not hold {problem} exactly once", hint="write it where it goes")
        if not self.separator:
            raise ConfigError("the policy's separator is empty", hint='steps mostly end with "\\n\\n"')
        check_answer_pattern(self.answer_pattern)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy: its model, resolved as a judge's is, and its card."""

    model: Judge
    card: PolicyCard

    @property
    def sampling(self) -> Sampling:
        """How it writes where nothing else is said."""
        return Sampling(self.card.temperature, self.card.top_p, self.card.max_new_tokens)


def check_answer_pattern(pattern: str) -> None:
    """Raise ConfigError unless it is empty or a regular expression with exactly one group."""
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ConfigError(f"the answer pattern is no regular expression: {error}", where=repr(pattern)) from error
    if pattern and groups != 1:
        raise ConfigError(
            f"the answer pattern has {counted(groups, 'group')}, and one is needed",
            where=repr(pattern),
            hint=r"e.g. answer is (\S+)",
        )


def shipped_policies() -> list[str]:
    """Names of the policies inside the package."""
    return sorted(path.name for path in _SHIPPED.iterdir() if (path / "config.json").is_file())


def resolve_policy(name: str) -> Policy:
    """Find the policy. Raises NotFound for an unknown name, JudgeError for a folder without a model or with a judge."""
    try:
        model = resolve_model(str(_SHIPPED / name) if name in shipped_policies() else name)
    except NotFound as error:
        raise NotFound(
            f"unknown policy {name!r}",
            hint=f"name a shipped policy ({', '.join(shipped_policies())}), a model folder, or a hub id org/model",
        ) from error
    path = card_folder(model) / POLICY_CARD
    if not path.is_file() and path.with_name(JUDGE_CARD).is_file():
        raise JudgeError(
            f"{name} is a judge: it judges solutions and writes none", hint="name a policy: --policy tiny-policy"
        )
    if not path.is_file():
        return Policy(model, PolicyCard())
    try:
        return Policy(model, msgspec.json.decode(path.read_bytes(), type=PolicyCard))
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(f"the policy's card cannot be read: {error}", where=str(path), hint="correct it") from error


def write_policy_card(card: PolicyCard, path: Path) -> None:
    """Write the card where `resolve_policy` finds it."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n")


def search_queue(policy: Policy, judge: Judge) -> str:
    """The queue of searches with these two: only a worker that has loaded both is notified of them."""
    both = hashlib.sha256(f"{policy.model.fingerprint}:{judge.identity}".encode()).hexdigest()
    names = (model.name.partition("@")[0] for model in (policy.model, judge))
    slugs = (re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[-20:] for name in names)
    return f"rprm.{'+'.join(slugs)}.{both[:12]}"
