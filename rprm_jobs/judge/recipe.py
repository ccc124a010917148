"""The recipe: everything that decides a job's scores, resolved, stored with the job, and digested.

Two jobs with equal digests over equal inputs would sample the same critiques twice, so `submit` refuses the second.
The engine and its version are recorded with each shard: P(Yes) of two engines agrees to rounding only.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import msgspec

from rprm_jobs.errors import ConfigError
from rprm_jobs.judge.families.family import Family
from rprm_jobs.judge.families.rprm import RPRM
from rprm_jobs.judge.families.table import read_stored
from rprm_jobs.judge.verdict import PARSE_RULE, PARSE_RULES
from rprm_jobs.search.guided import SearchOptions
from rprm_jobs.types import Sampling

MAX_K = 1024
# Fields added later, with their value before: stored only where they differ from it, so that the digests of older jobs
# stay the same and an older worker can read every recipe that it can judge by.
_LATER: dict[str, Any] = {
    "until_first_error": False,
    "writing": None,
    "family": None,
    "force_verdict": False,
    "seed_rule": "solution",
}
# Where the seeds of critiques derive from: the solution's id and the step's place, or what is judged alone.
BY_SOLUTION, BY_CONTENT = "solution", "content"


class GenerationConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a policy writes solutions: its model, how it is asked, and how its text is cut into steps and answer.

    `prompt` holds `{problem}`; `answer_pattern` has one group, "" means the last \\boxed{}. With `search` it writes
    step by step, and the recipe's judge chooses the step to go on with.
    """

    policy: str
    fingerprint: str
    prompt: str
    sampling: Sampling
    separator: str = "\n\n"
    answer_pattern: str = ""
    search: SearchOptions | None = None


def check_seed(seed: int) -> None:
    """Raises ConfigError for a seed that the database cannot hold."""
    if not 0 <= seed < 2**63:
        raise ConfigError(f"seed={seed} is not in 0..2**63-1", hint="for example --seed 0")


def check_sampling(sampling: Sampling) -> None:
    """Raises ConfigError for values that no engine can sample with."""
    for ok, what, hint in (
        (
            0 <= sampling.temperature < math.inf,
            f"temperature={sampling.temperature:g} is {'negative' if sampling.temperature < 0 else 'no number'}",
            "for example --temperature 0.8",
        ),
        (0 < sampling.top_p <= 1, f"top_p={sampling.top_p:g} is not in (0, 1]", "for example --top-p 0.95"),
        (sampling.max_new_tokens >= 1, "max_new_tokens is below 1", "for example --max-new-tokens 4096"),
    ):
        if not ok:
            raise ConfigError(what, hint=hint)


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`k` critiques a step at most, by `stopping`; a step with reward < `threshold` is called wrong.

    `fingerprint` identifies weights and tokenizer, `prompt` is the template's text, `seed` in [0, 2**63). With
    `until_first_error` the steps after the first one called wrong are not judged.

    `parse_rule` says how verdicts are read (rprm_jobs.judge.verdict), so that a job keeps its meaning; so does
    `seed_rule`: "content" where seeds derive from the problem and the steps up to the judged one, so that a judgement
    can be reused, "solution" in jobs of earlier versions.

    With `force_verdict` a critique without a verdict is continued with the verdict's question, and its P(Yes) counts.

    `family` is the family of judges with all of its fields (rprm_jobs.judge.families), None for R-PRM's.

    With `generation_config` the outcomes are solutions; of plain rollouts, which nobody judges, `judge` is the policy
    as well. JSON (the store, the digest) says `policy` for `stopping` and `writing` for `generation_config`.
    """

    judge: str
    fingerprint: str
    queue: str
    prompt: str
    sampling: Sampling
    k: int = 10
    stopping: dict[str, Any] = msgspec.field(default_factory=lambda: {"kind": "fixed"}, name="policy")
    threshold: float = 0.5
    seed: int = 0
    parse_rule: str = PARSE_RULE
    until_first_error: bool = False
    generation_config: GenerationConfig | None = msgspec.field(default=None, name="writing")
    family: dict[str, Any] | None = None
    force_verdict: bool = False
    seed_rule: str = BY_SOLUTION

    def __post_init__(self) -> None:
        self.judge_family.check_threshold(self.threshold)
        check_seed(self.seed)
        check_sampling(self.sampling)
        if self.generation_config is not None:
            check_sampling(self.generation_config.sampling)
        checks = [
            (1 <= self.k <= MAX_K, f"k={self.k} is not in 1..{MAX_K}", "choose -k in that range"),
            (
                not self.force_verdict or self.judge_family.name == RPRM.name,
                f"force_verdict has no meaning for {self.judge_family.name}",
                "leave it out: only critiques of single steps end in R-PRM's verdict",
            ),
            (
                self.parse_rule in PARSE_RULES,
                f"parse_rule={self.parse_rule!r} is none of {', '.join(PARSE_RULES)}",
                "upgrade this machine: pip install -U rprm-jobs",
            ),
            (
                self.seed_rule in (BY_SOLUTION, BY_CONTENT),
                f"seed_rule={self.seed_rule!r} is neither {BY_SOLUTION} nor {BY_CONTENT}",
                "upgrade rprm-jobs on this machine",
            ),
        ]
        for ok, what, hint in checks:
            if not ok:
                raise ConfigError(what, hint=hint)

    @property
    def judge_family(self) -> Family:
        """The family of judges. Raises ConfigError for one of a newer version of the program."""
        return read_stored(self.family)

    @property
    def is_planned(self) -> bool:
        """Whether it is judged by plans that are fitted to the job's own votes."""
        return bool(self.stopping.get("kind") == "planned")

    @property
    def is_planned_by_context(self) -> bool:
        """Whether these plans tell steps apart by what came before them."""
        return self.is_planned and bool(self.stopping.get("by_context"))

    @property
    def screen_weight(self) -> float:
        """As how many critiques the screen's score of a step counts in its reward; 0 where it does not count."""
        return float(self.stopping.get("weight", 0.0)) if self.stopping.get("kind") == "cascade" else 0.0

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the recipe's canonical JSON."""
        return hashlib.sha256(msgspec.json.encode(self.to_builtins(), order="sorted")).hexdigest()

    def to_builtins(self) -> dict[str, Any]:
        """As JSON types, for the store."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return {name: value for name, value in built.items() if name not in _LATER or value != _LATER[name]}

    @classmethod
    def from_builtins(cls, stored: dict[str, Any]) -> Recipe:
        """Back from the store. Raises ConfigError for a recipe of a newer version of the program."""
        try:
            return msgspec.convert(stored, cls)
        except msgspec.ValidationError as error:
            raise ConfigError(
                f"the job's recipe cannot be read: {error}", hint="upgrade this machine: pip install -U rprm-jobs"
            ) from error


def critique_seed(recipe_seed: int, solution_id: str, step: int, k: int, retry_epoch: int = 0) -> int:
    """The seed of one critique, in [0, 2**63): a function of what is judged, never of who judges it or how often.

    `retry_epoch` counts the user's own `retry` calls: the same critique drawn again would be useless.
    """
    key = f"{recipe_seed}\x1f{solution_id}\x1f{step}\x1f{k}\x1f{retry_epoch}"
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") >> 1
