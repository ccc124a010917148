"""How to train: what SFT and DPO have in common. Defaults are the paper's (section 4); every field is an option."""

from __future__ import annotations

from dataclasses import dataclass

from rprm_jobs.errors import ConfigError

_AT_LEAST_ONE = ("batch", "accumulation", "evaluate_every", "evaluate_rows", "patience", "log_every")


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
        if min(getattr(self, name) for name in _AT_LEAST_ONE) < 1:
            raise ConfigError(f"{', '.join(_AT_LEAST_ONE)} must be at least 1")
        if min(self.epochs, self.learning_rate, self.lora_alpha) <= 0:
            raise ConfigError("epochs, learning_rate and lora_alpha must be above 0")
        if min(self.steps, self.warmup, self.lora_rank) < 0:
            raise ConfigError("steps, warmup and lora_rank must not be negative")
