"""Our job against the bare engine: `python -m benchmarks.raw_engine`, vLLM, the tiny judge, the same prompts, K=8;
`--judge FOLDER` for another one.

The bare side is one `LLM.generate` call over all prompts with the same seeds and stop strings: once `plain`, as every
other tool runs it, and once with the two log-probabilities a token that P(Yes) is read from. Ours is a job: queue,
Postgres, verdicts, texts and recording included. Engine start and a warm-up are left out of all; they run one after
the other, each with the machine to itself.
"""

from __future__ import annotations

import time
from typing import Any

from benchmarks.offline import Asked, compare, offline_engine, steps_of
from rprm_jobs.judge.encode import PromptEncoder


def main() -> None:
    """Parse, run both sides, print."""
    compare("raw_engine", __doc__, 160, _raw, _ratios)


def _raw(asked: Asked) -> dict[str, Any]:
    llm = offline_engine(asked.judge)
    encoder = PromptEncoder(llm.get_tokenizer())
    answers = [encoder.yes_id, encoder.no_id]
    return {
        "plain": _generated(llm, asked),
        "log_probabilities": _generated(llm, asked, logprob_token_ids=answers, flat_logprobs=True),
    }


def _generated(llm: Any, asked: Asked, **params: Any) -> dict[str, Any]:
    """What one call over all prompts took, after a warm-up that leaves nothing cached."""
    steps = steps_of(llm, asked, **params)
    llm.generate(steps[-1].prompts, steps[-1].params, use_tqdm=False)
    llm.reset_prefix_cache()
    prompts, sampling = [p for step in steps for p in step.prompts], [p for step in steps for p in step.params]
    started = time.perf_counter()
    outputs = llm.generate(prompts, sampling, use_tqdm=False)
    seconds = time.perf_counter() - started
    tokens = sum(len(output.outputs[0].token_ids) for output in outputs)
    return {
        "critiques": len(outputs),
        "seconds": round(seconds, 2),
        "tokens": tokens,
        "tokens_per_s": round(tokens / seconds),
    }


def _ratios(theirs: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    return {
        "tokens_per_s_ours_over_plain": round(ours["tokens_per_s"] / theirs["plain"]["tokens_per_s"], 3),
        "tokens_per_s_ours_over_raw": round(ours["tokens_per_s"] / theirs["log_probabilities"]["tokens_per_s"], 3),
    }


if __name__ == "__main__":
    main()
