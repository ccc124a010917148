"""How to train: what SFT and DPO have in common. Defaults are the paper's (section 4); every field is an option."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from rprm_jobs.errors import ConfigError

_AT_LEAST_ONE = ("batch", "accumulation", "evaluate_every", "evaluate_rows", "patience", "log_every")
# The largest that numpy takes.
_MOST_SEED = 2**32 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecipe:
    """What any training needs to know.

    An optimiser step sees `batch * accumulation` rows on each process; `steps` bounds them, and 0 means as many as
    `epochs` passes take. With a validation split its first `evaluate_rows` rows are evaluated every `evaluate_every`
    steps, training stops when their loss has not fallen `patience` times, and the best weights are kept.
    `schedule` is one of transformers' scheduler names, `bf16` computes in bfloat16 over float32 weights where the
    machine has it, and `report_to` is tensorboard, wandb, or what else transformers reports to. `lora_rank` above 0
    trains an adapter of every linear layer in place of the weights.
    """

    epochs: float = 1.0
    steps: int = 0
    batch: int = 1
    accumulation: int = 128
    learning_rate: float = 5e-6
    weight_decay: float = 0.0
    beta2: float = 0.999
    warmup: int = 0
    schedule: str = "cosine"
    seed: int = 42
    bf16: bool = True
    gradient_checkpointing: bool = False
    lora_rank: int = 0
    lora_alpha: int = 32
    evaluate_every: int = 50
    evaluate_rows: int = 2000
    patience: int = 3
    log_every: int = 10
    report_to: str = "none"

    def __post_init__(self) -> None:
        for name in _AT_LEAST_ONE:
            check_bound(self, name, least=1)
        for name in ("epochs", "learning_rate", "lora_alpha"):
            check_bound(self, name, above=0)
        for name in ("steps", "warmup", "lora_rank", "weight_decay"):
            check_bound(self, name, least=0)
        if not 0 <= self.seed <= _MOST_SEED:
            raise ConfigError(f"--seed {self.seed} is not in 0..{_MOST_SEED}", hint="for example --seed 42")
        if not 0 <= self.beta2 < 1:
            raise ConfigError(f"--beta2 {self.beta2:g} is not in [0, 1)", hint="for example --beta2 0.999")


@dataclass(frozen=True, slots=True, kw_only=True)
class SftRecipe(TrainingRecipe):
    """SFT as in the paper (section 4): batch 128, 1 epoch, learning rate 5e-6.

    `pad_to` makes lengths multiples of it (0 leaves them); `decay` steps at the end and `floor`, the last rate as a
    share of the first, are for the schedule warmup_stable_decay.
    """

    batch: int = 8
    accumulation: int = 16
    learning_rate: float = 5e-6
    pad_to: int = 0
    decay: int = 0
    floor: float = 0.0

    def __post_init__(self) -> None:
        TrainingRecipe.__post_init__(self)
        for name in ("pad_to", "decay", "floor"):
            check_bound(self, name, least=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DpoRecipe(TrainingRecipe):
    """DPO as in the paper (section 4): batch 128, 1 epoch, learning rate 5e-7.

    `beta` is the strength of the pull to the judge it starts from. `sft_weight` adds so much of the chosen critique's
    own loss, which keeps its likelihood from falling along with the rejected one's; the paper has none of it.
    """

    learning_rate: float = 5e-7
    beta: float = 0.1
    sft_weight: float = 0.0

    def __post_init__(self) -> None:
        TrainingRecipe.__post_init__(self)
        check_bound(self, "beta", above=0)
        check_bound(self, "sft_weight", least=0)


def check_bound(recipe: TrainingRecipe, name: str, *, least: float | None = None, above: float | None = None) -> None:
    """Raise ConfigError for a value under its bound, or one that is no finite number."""
    value = getattr(recipe, name)
    if math.isfinite(value) and (value >= least if least is not None else value > (above or 0)):
        return
    bound = f"at least {least:g}" if least is not None else f"above {above:g}"
    default = next(field.default for field in fields(recipe) if field.name == name)
    option = f"--{name.replace('_', '-')}"
    raise ConfigError(f"{option} {value:g} is not {bound}", hint=f"the default is {option} {default:g}")
