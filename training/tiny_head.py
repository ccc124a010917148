"""`tiny-head`, a judge that scores: a two-class head at step ends, trained on labels of generated arithmetic chains.

`python -m training.tiny_head --out FOLDER` starts from the weights of `tiny`, which can do the arithmetic, and learns
to say of each step up to the first wrong one whether it is right. A training that was cut goes on from its last
checkpoint.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rprm_jobs.aggregation import first_error
from rprm_jobs.evaluation.processbench import score
from rprm_jobs.judge.card import JUDGE_CARD
from rprm_jobs.judge.encode_solution import SolutionEncoder
from rprm_jobs.judge.resolve import resolve_judge
from training.folder import load_tokenizer
from training.splits import SEEDS, draw_split
from training.tiny_head_examples import BATCH, FAMILY, HEAD_SEED, THRESHOLD, batch_at, encoder_of, family
from training.trainer import has_bf16

RATE, WARMUP = 2e-3, 50
# The share of the steps, at the end, in which the rate falls to nothing.
DECAY = 0.4
CHECKPOINT_EVERY = 50
STEPS = 2500
README = """# tiny-head

A process reward model that scores and does not write, for trying and testing rprm-jobs anywhere: the body of `tiny`
with a two-class head, read at the line break behind each step. One pass judges a whole solution.

Trained by `python -m training.tiny_head --out FOLDER`: {steps:,} steps of {batch} generated solutions, seed {seed},
{minutes} minutes on 2 shared cores ({note}), from the weights of `{base}`. It knows nothing but the arithmetic world of
`tiny`.

| on {solutions} held-out solutions | F1 | error accuracy | correct accuracy |
|---|---|---|---|
| threshold {threshold:g} | {f1:.1f} | {error_acc:.1f} | {correct_acc:.1f} |
"""


def train(model: Any, tokenizer: Any, steps: int, checkpoint: Path) -> tuple[bool, list[float]]:
    """Train in place; whether it went on from a checkpoint, and the head's losses of the steps of this call."""
    import torch

    encoder = encoder_of(tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.05, betas=(0.9, 0.95))
    first, losses = 0, list[float]()
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first = int(state["step"])
    model.train()
    for step in range(first, steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / WARMUP, max(0.02, (steps - step) / (DECAY * steps)))
        losses.append(_backward(model, batch_at(tokenizer, encoder, step)))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % CHECKPOINT_EVERY == 0:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
            torch.save(state, checkpoint.with_suffix(".new"))
            checkpoint.with_suffix(".new").replace(checkpoint)
            print(json.dumps({"step": step + 1, "loss": sum(losses[-50:]) / len(losses[-50:])}), flush=True)
    return first > 0, losses


def _backward(model: Any, parts: Sequence[Sequence[Any]]) -> float:
    """Gradients of the sum of three mean losses, part by part; the first of them, that at the ends of steps.

    It alone teaches too little: four of five steps are right, and which is wrong takes arithmetic that nothing else
    asks for. To say at each token whether the step is right so far, and to write the next right one, takes all of it.
    No mask: padding stands behind what is read, and the model looks back only.
    """
    import torch

    counts = [max(1, sum(int((part[at] >= 0).sum()) for part in parts)) for at in (1, 2, 3)]
    total = 0.0
    for ids, *wanted in parts:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=has_bf16()):
            hidden = model.model(input_ids=ids).last_hidden_state
            ends, inside, following = (hidden[labels >= 0] for labels in wanted)
            outputs = (model.score(ends), model.score(inside), following @ model.model.embed_tokens.weight.T)
        losses = [
            torch.nn.functional.cross_entropy(logits.float(), labels[labels >= 0], reduction="sum") / count
            for logits, labels, count in zip(outputs, wanted, counts, strict=True)
        ]
        whole: Any = sum(losses)
        whole.backward()
        total += float(losses[0].detach())
    return total


def evaluate(model: Any, encoder: SolutionEncoder, count: int) -> dict[str, Any]:
    """F1 on held-out solutions, in the way of ProcessBench."""
    import torch

    model.eval()
    solutions, reading = draw_split("held-out", count), family()
    predictions: list[int | None] = []
    with torch.inference_mode():
        for solution in solutions:
            encoded = encoder.encode(solution.problem, solution.steps)
            logits = model(input_ids=torch.tensor([encoded.ids])).logits[0, list(encoded.places)].tolist()
            predictions.append(first_error([reading.reward(row) for row in logits], THRESHOLD))
    result = score([solution.label for solution in solutions], predictions)
    return {
        "solutions": count, "threshold": THRESHOLD, "f1": round(result.f1, 1),
        "error_acc": round(result.error_acc, 1), "correct_acc": round(result.correct_acc, 1),
    }  # fmt: skip


def build(out: Path, *, steps: int, base: str = "tiny", count: int = 400) -> dict[str, Any]:
    """Train, measure, and write the judge's folder; returns what it took and how good it is."""
    import torch
    from transformers import Qwen2ForTokenClassification

    assert HEAD_SEED not in SEEDS.values()
    out.mkdir(parents=True, exist_ok=True)
    began, judge = time.monotonic(), resolve_judge(base)
    tokenizer = load_tokenizer(judge)
    encoder = encoder_of(tokenizer)
    torch.manual_seed(HEAD_SEED)
    model: Any = Qwen2ForTokenClassification.from_pretrained(judge.location, num_labels=2, dtype=torch.float32)
    checkpoint = out / "checkpoint.pt"
    resumed, losses = train(model, tokenizer, steps, checkpoint)
    record = {
        "note": "resumed from a checkpoint" if resumed else "in one go", "base": judge.name, "steps": steps,
        "batch": BATCH, "seed": HEAD_SEED, "minutes": round((time.monotonic() - began) / 60, 1),
        "last_loss": round(_mean(losses[-50:]), 4),
    }  # fmt: skip
    evaluation = evaluate(model, encoder, count)
    model.half().save_pretrained(out)
    tokenizer.save_pretrained(out)
    (out / JUDGE_CARD).write_text(json.dumps({"family": FAMILY}, indent=2) + "\n", encoding="utf-8")
    measured = {"training": record, "evaluation": evaluation}
    (out / "measured.json").write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    (out / "README.md").write_text(README.format(**record, **evaluation), encoding="utf-8")
    checkpoint.unlink(missing_ok=True)
    return measured


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def main() -> None:
    """Build the judge and print what it took and how good it is as JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--base", default="tiny", help="the judge whose weights it starts from")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--count", type=int, default=400, help="held-out solutions of the measurement")
    options = parser.parse_args()
    print(json.dumps(build(options.out, steps=options.steps, base=options.base, count=options.count), indent=2))


if __name__ == "__main__":
    main()
