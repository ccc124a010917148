"""TRL's GRPOTrainer trains `tiny-policy` with rewards from a running service, on a CPU.

    rprm-jobs serve &                          # and in another terminal: rprm-jobs worker --judge tiny
    python examples/grpo.py --reward steps     # the judge's step rewards, aggregated
    python examples/grpo.py --reward answer    # the final answer alone, for comparison

Prints JSON: pass@1 on 200 unseen problems before and after, and the reward at every step. Only the scales of the
policy's norms are trained, 1,152 weights, which a few hundred solutions are enough for.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from rprm_jobs.judge.policy import Policy, resolve_policy
from rprm_jobs.rewards.trl import StepReward
from training.careless import draw_careless
from training.splits import as_problem, draw_split

_PROMPTS, _GROUP = 8, 8
_LEARNING_RATE = 1e-2
# An outage may last so long before the run gives up, in seconds.
_PATIENCE_S = 600.0
_OF_THE_MACHINE = ("out", "run", "service", "threads")
_TRAINING_SEED = 70_000


def answer_reward(completions: list[Any], answer: list[str], **_: Any) -> list[float]:
    """1 where the last step comes to the right answer."""
    return [float(answer_of(text_of(c)) == expected) for c, expected in zip(completions, answer, strict=True)]


def judge_reward(options: argparse.Namespace) -> StepReward:
    """Asks the service for all completions at the same time. An outage is waited for: no reward is made up."""
    judging = {"run": options.run or f"grpo-{options.seed}", "step_separator": "\n\n"}
    return StepReward(
        options.service, options.judge, options.k, options.aggregation, timeout=_PATIENCE_S, options=judging
    )


def text_of(completion: Any) -> str:
    """The text of what TRL hands over: a conversation of one message."""
    return str(completion[-1]["content"])


def answer_of(solution: str) -> str | None:
    """What the last step comes to."""
    match = re.search(r"=(\d+)\.$", solution)
    return None if match is None else match[1]


def problems(seed: int, count: int) -> list[dict[str, Any]]:
    """Generated problems that are not among the 200 of the evaluation."""
    rng, held_out = random.Random(_TRAINING_SEED + seed), {row["problem"] for row in unseen()}
    rows: list[dict[str, Any]] = []
    while len(rows) < count:
        row = as_problem("grpo", len(rows), draw_careless(rng, 0))
        if row["problem"] not in held_out:
            rows.append({**row, "prompt": [{"role": "user", "content": row["problem"]}]})
    return rows


def unseen() -> list[dict[str, Any]]:
    """The 200 problems of the evaluation."""
    return [as_problem("problems", n, chain) for n, chain in enumerate(draw_split("problems", 200))]


def pass_at_1(model: Any, tokenizer: Any, rows: Sequence[dict[str, Any]], samples: int, seed: int) -> float:
    """Share of right answers at temperature 1, in percent, over so many samples of each problem."""
    import torch

    torch.manual_seed(seed)
    frames = [[{"role": "user", "content": row["problem"]}] for row in rows]
    texts = tokenizer.apply_chat_template(frames, add_generation_prompt=True, tokenize=False)
    right = 0
    for start in range(0, len(rows), 100):
        batch = tokenizer(texts[start : start + 100], return_tensors="pt", padding=True, padding_side="left")
        with torch.no_grad():
            written = model.generate(
                **batch, do_sample=True, temperature=1.0, top_k=0, max_new_tokens=128, num_return_sequences=samples
            )
        solutions = tokenizer.batch_decode(written[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
        answers = [row["answer"] for row in rows[start : start + 100] for _ in range(samples)]
        right += sum(answer_of(s) == a for s, a in zip(solutions, answers, strict=True))
    return 100 * right / (len(rows) * samples)


def train(policy: Policy, reward: Any, options: argparse.Namespace) -> dict[str, Any]:
    """One run: pass@1 before and after, and what was logged at every step."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(options.threads)
    tokenizer = AutoTokenizer.from_pretrained(policy.model.location)
    model = AutoModelForCausalLM.from_pretrained(policy.model.location, dtype=torch.float32)
    for name, weights in model.named_parameters():
        weights.requires_grad_("norm" in name)
    config = GRPOConfig(
        output_dir=str(options.out), max_steps=options.steps, seed=options.seed,
        per_device_train_batch_size=_PROMPTS * _GROUP, num_generations=_GROUP, max_completion_length=128,
        temperature=1.0, top_k=0, learning_rate=_LEARNING_RATE, adam_beta2=0.99, beta=0.0,
        lr_scheduler_type="constant_with_warmup", warmup_steps=2, logging_steps=1, save_steps=5, save_total_limit=1,
        gradient_checkpointing=False, bf16=False, use_cpu=True, report_to="none", disable_tqdm=True,
    )  # fmt: skip
    rows = unseen()[: options.problems]
    before = pass_at_1(model, tokenizer, rows, options.samples, options.seed)
    trainer = GRPOTrainer(
        model=model, reward_funcs=reward, args=config, processing_class=tokenizer,
        train_dataset=Dataset.from_list(problems(options.seed, options.steps * _PROMPTS)),
    )  # fmt: skip
    with redirect_stdout(sys.stderr):
        trainer.train(resume_from_checkpoint=any(Path(options.out).glob("checkpoint-*")) or None)
    model.eval()
    after = pass_at_1(model, tokenizer, rows, options.samples, options.seed)
    logged = [entry for entry in trainer.state.log_history if "reward" in entry]
    return {
        "before": round(before, 2), "after": round(after, 2),
        "rewards": [round(float(entry["reward"]), 4) for entry in logged],
        # The share of each step's solutions that the judge could not judge; they are left out, and are no zeros.
        "judge_failed": [round(float(entry.get("judge_failed", 0.0)), 4) for entry in logged],
    }  # fmt: skip


def main() -> None:
    """Parse, train, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reward", choices=("steps", "answer"), default="steps")
    parser.add_argument("--service", default="http://127.0.0.1:8000")
    parser.add_argument("--aggregation", choices=("min", "product", "mean", "last"), default="mean")
    parser.add_argument("--judge", default="tiny")
    parser.add_argument("-k", type=int, default=2, help="critiques of a step")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--run", help="the name of the run for the service, which judges equal solutions of it once")
    parser.add_argument("--problems", type=int, default=200, help="problems of the evaluation")
    parser.add_argument("--samples", type=int, default=4, help="solutions of each of them")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="a folder for checkpoints; a cut run goes on from them")
    options = parser.parse_args()
    reward: Any = judge_reward(options) if options.reward == "steps" else answer_reward
    settings = {name: value for name, value in vars(options).items() if name not in _OF_THE_MACHINE}
    print(json.dumps({**settings, **train(resolve_policy("tiny-policy"), reward, options)}))


if __name__ == "__main__":
    main()
