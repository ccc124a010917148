"""How one attempt judges, and the stopping rule of its job, which changes while it runs: plans come with the votes."""

from __future__ import annotations

from dataclasses import dataclass

from rprm_jobs.judge.prompt import PromptTemplate
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.judge.verdict import PARSE_RULE
from rprm_jobs.services.upkeep.plans import MOST_FITS
from rprm_jobs.stopping import StoppingRule, make_rule
from rprm_jobs.store.jobs.plans import StoredPlan


class CurrentRule:
    """The stopping rule that steps are asked about now. Another thread may `adopt` a plan; then that is asked."""

    def __init__(self, rule: StoppingRule, plan: int | None = None) -> None:
        # One assignment, so whoever reads has a rule and the version that belongs to it.
        self._now = (rule, plan)

    @property
    def now(self) -> tuple[StoppingRule, int | None]:
        """The rule, and the version of its plan; None where it has none."""
        return self._now

    def adopt(self, recipe: Recipe, plan: StoredPlan) -> None:
        """Let this plan say from now on how many critiques a step gets, also of steps that have some."""
        self._now = (_rule_of(recipe, plan), plan.version)


@dataclass(frozen=True, slots=True)
class JudgeSpec:
    """How one attempt judges.

    `urgent`: somebody waits for it, so it goes before the rest and each outcome is recorded at once.
    """

    recipe: Recipe
    template: PromptTemplate
    stopping: CurrentRule
    round: int
    urgent: bool = False

    @classmethod
    def of(cls, recipe: Recipe, round_: int, plan: StoredPlan | None = None, *, urgent: bool = False) -> JudgeSpec:
        """From the job's recipe. Raises ConfigError when this version cannot read it."""
        stopping = CurrentRule(_rule_of(recipe, plan), None if plan is None else plan.version)
        # A job of an older version goes on as it began: its prompt was a message, whatever it looked like.
        template = PromptTemplate.parse(recipe.prompt, plain=recipe.parse_rule != PARSE_RULE)
        return cls(recipe, template, stopping, round_, urgent)

    @property
    def awaits_plan(self) -> bool:
        """Whether a plan, or a newer one, will be fitted to the job's votes."""
        return self.recipe.is_planned and (self.stopping.now[1] or 0) < MOST_FITS


def _rule_of(recipe: Recipe, plan: StoredPlan | None) -> StoppingRule:
    fitted = {} if plan is None else {"prior": plan.prior, "wrong": plan.wrong, "priors": plan.priors}
    return make_rule({**recipe.stopping, **fitted}, k=recipe.k, threshold=recipe.threshold)
