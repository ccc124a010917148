"""The options of `Client.submit` as one value, for a client of the store and for one of a service alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rprm_jobs.errors import ConfigError

if TYPE_CHECKING:
    from rprm_jobs.judge.recipe import Recipe
    from rprm_jobs.judge.resolve import Judge

CASCADE = "cascade"


@dataclass(frozen=True, slots=True)
class SubmitOptions:
    """How solutions are judged and queued; see `Client.submit`."""

    judge: str = "tiny"
    family: str | None = None
    k: int | None = None
    stopping: Mapping[str, Any] = field(default_factory=lambda: {"kind": "fixed"})
    until_first_error: bool = False
    threshold: float | None = None
    seed: int = 0
    prompt: str | Path | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_new_tokens: int | None = None
    priority: int = 0
    keep_critiques: str = "all"
    new: bool = False
    skip_bad: bool = False
    name: str | None = None
    reuse: bool = True
    screen: str | None = None
    screen_family: str | None = None

    def resolve(self) -> Judge:
        """The judge, looked up here. Raises NotFound, JudgeError."""
        from rprm_jobs.judge.resolve import resolve_judge

        return resolve_judge(self.judge, self.family)

    def resolve_screen(self) -> Judge | None:
        """The cheaper judge that scores first, None without one. Raises NotFound, JudgeError, ConfigError."""
        from rprm_jobs.judge.resolve import resolve_judge

        if self.screen is not None:
            return resolve_judge(self.screen, self.screen_family)
        if self.screen_family is not None:
            raise ConfigError("screen_family without a screen", hint='name the judge too: screen="ORG/MODEL"')
        return None

    def rule(self) -> Mapping[str, Any]:
        """The stopping rule: behind a screen that of a cascade. Raises ConfigError for one that is none."""
        kind = self.stopping.get("kind")
        if self.screen is None or kind == CASCADE:
            return self.stopping
        if dict(self.stopping) != {"kind": "fixed"}:
            raise ConfigError(
                f"behind a screen critiques end by its own rule, not by {kind!r}",
                hint='leave out stopping, or give {"kind": "cascade", "confidence": 0.95, "weight": 2.2}',
            )
        return {"kind": CASCADE}

    def recipe(self, judge: Judge) -> Recipe:
        """How this judge judges. Raises ConfigError."""
        from rprm_jobs.judge.prompt import PromptTemplate
        from rprm_jobs.services.jobs.submit import make_recipe

        return make_recipe(
            judge,
            template=None if self.prompt is None else PromptTemplate.load(Path(self.prompt)),
            k=self.k, threshold=self.threshold, seed=self.seed, temperature=self.temperature, top_p=self.top_p,
            max_new_tokens=self.max_new_tokens, until_first_error=self.until_first_error, stopping=self.rule(),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class RewardRequest:
    """Rows to be rewarded (`problem`, and `steps` or `solution`), and how; `timeout` seconds for all of them."""

    rows: tuple[Mapping[str, Any], ...]
    judge: str
    k: int | None
    aggregation: str
    run: str | None
    seed: int
    threshold: float | None
    step_separator: str | None
    timeout: float
