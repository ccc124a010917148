"""Direct preference optimisation of a judge with TRL's DPOTrainer, from rows of `prompt`, `chosen` and `rejected`.

The prompt is encoded by the judge's own encoder, so training sees the token ids that judging sees; only the critiques
and the ends of their turns carry loss.
"""

from __future__ import annotations

from typing import Any, TypedDict

from rprm_jobs.judge.encode import PromptEncoder
from training.recipe import DpoRecipe
from training.trainer import Log, TrainingPlan, adapter, arguments, callbacks, data_sets, run


class PreferencePair(TypedDict):
    """Token ids; both critiques end with the end of the turn."""

    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]


def train_dpo(model: Any, reference: Any, tokenizer: Any, plan: TrainingPlan) -> tuple[Any, Log]:
    """Train `model` in place against the frozen `reference`; returns the trainer, and the log.

    The plan's recipe is a DpoRecipe. With an adapter the reference is the model without it, and `reference` None.
    """
    from trl.trainer.dpo_config import DPOConfig

    recipe = plan.recipe
    if not isinstance(recipe, DpoRecipe):
        raise TypeError("DPO wants a DpoRecipe")
    encoder = PromptEncoder(tokenizer)
    trainer = _trainer()(
        model=model,
        ref_model=reference,
        args=DPOConfig(**arguments(plan), beta=recipe.beta, **_loss(recipe)),
        processing_class=tokenizer,
        callbacks=callbacks(plan),
        peft_config=adapter(recipe),
        **data_sets(plan, lambda rows: (encode_pair(row, tokenizer, encoder) for row in rows)),
    )
    return trainer, run(trainer, plan)


def _loss(recipe: DpoRecipe) -> dict[str, Any]:
    if not recipe.sft_weight:
        return {}
    return {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, recipe.sft_weight]}


def _trainer() -> Any:
    from trl.trainer.dpo_trainer import DPOTrainer

    class Encoded(DPOTrainer):
        """Takes token ids as they are: TRL's own tokenisation would read marks in a rollout as special tokens."""

        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset

    return Encoded


def encode_pair(row: dict[str, Any], tokenizer: Any, encoder: PromptEncoder) -> PreferencePair:
    """Token ids of the framed prompt, and of both critiques with the end of the turn."""

    def ended(text: str) -> list[int]:
        ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return [*ids, tokenizer.eos_token_id]

    return {
        "prompt_ids": encoder.encode(row["prompt"]),
        "chosen_ids": ended(row["chosen"]),
        "rejected_ids": ended(row["rejected"]),
    }
