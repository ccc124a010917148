"""A judge small enough to be made in a few seconds by a test: it knows one kind of critique by heart.

A Qwen2 with grouped-query attention whose critiques end in a verdict line, Yes and No about equally often, so that
engines meet real stops, splits and P(Yes) without a trained judge.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from rprm_jobs.judge.encode import PromptEncoder
from rprm_jobs.judge.prompt import PromptTemplate
from rprm_jobs.judge.verdict import MARKER
from training.tokenizer import build_tokenizer

PROMPT = "Problem: {problem}\nPrevious steps:\n{previous_steps}\nNow step:\n{now_step}"
_STEPS, _BATCH = 160, 16


def render(problem: str, *steps: str) -> str:
    """The user message that asks about the last of `steps`."""
    return PromptTemplate.parse(PROMPT).render(problem, steps, len(steps) - 1)


def build_drilled_judge(folder: Path) -> Path:
    """Train the judge and write its folder: weights (float32), tokenizer, prompt and card."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = build_tokenizer(PROMPT, solutions=100)
    torch.manual_seed(7)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    model = Qwen2ForCausalLM(config)
    threads = torch.get_num_threads()
    # Products this small gain nothing from more threads, and lose much beside another busy process.
    torch.set_num_threads(1)
    try:
        _drill(model, tokenizer)
    finally:
        torch.set_num_threads(threads)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "prompt.txt").write_text(PROMPT, encoding="utf-8")
    (folder / "rprm_judge.json").write_text(
        json.dumps({"prompt": "prompt.txt", "max_new_tokens": 96}), encoding="utf-8"
    )
    return folder


def _drill(model: Any, tokenizer: Any) -> None:
    import torch

    rng, encoder = random.Random(3), PromptEncoder(tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    model.train()
    for step in range(_STEPS):
        for group in optimizer.param_groups:
            group["lr"] = 4e-3 * (1 - step / _STEPS) + 1e-4
        ids, labels = _batch(rng, tokenizer, encoder)
        model(input_ids=ids, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.eval()


def _batch(rng: random.Random, tokenizer: Any, encoder: PromptEncoder) -> tuple[Any, Any]:
    import torch

    rows = []
    for _ in range(_BATCH):
        steps = [f"{rng.randrange(99)} + {rng.randrange(99)} = {rng.randrange(99)}" for _ in range(rng.randrange(1, 4))]
        prompt = encoder.encode(render(f"What is {rng.randrange(999)}?", *steps))
        verdict = rng.choice(("Yes", "No"))
        critique = f"Calculation: {rng.randrange(9)} {rng.choice('+-*')} {rng.randrange(9)}.\n{MARKER} {verdict}"
        rows.append((prompt, [*tokenizer.encode(critique, add_special_tokens=False), tokenizer.eos_token_id]))
    width = max(len(p) + len(c) for p, c in rows)
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    labels = torch.full_like(ids, -100)
    for i, (prompt, critique) in enumerate(rows):
        ids[i, : len(prompt) + len(critique)] = torch.tensor(prompt + critique)
        labels[i, len(prompt) : len(prompt) + len(critique)] = torch.tensor(critique)
    return ids, labels
