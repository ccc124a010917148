"""Our job against the bare engine: `python -m benchmarks.raw_engine`, vLLM, the tiny judge, the same prompts, K=8.

The bare side is one `LLM.generate` call over all prompts with the same seeds, stop strings and two log-probabilities a
token. Ours is a job: queue, Postgres, verdicts, texts and recording included. Engine start and a warm-up are left out
of both; they run one after the other, each with the machine to itself.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.offline import compare, offline_engine, steps_of
from rprm_jobs.judge.encode import PromptEncoder


def main() -> None:
    """Parse, run both sides, print."""
    compare("raw_engine", __doc__, 160, _raw, _ratios)


def _raw(rows: Path, k: int) -> dict[str, Any]:
    llm = offline_engine()
    encoder = PromptEncoder(llm.get_tokenizer())
    answers = [encoder.yes_id, encoder.no_id]
    steps = steps_of(llm, rows, k, logprob_token_ids=answers, flat_logprobs=True)
    llm.generate(steps[-1].prompts, steps[-1].params, use_tqdm=False)
    prompts, params = [p for step in steps for p in step.prompts], [p for step in steps for p in step.params]
    started = time.perf_counter()
    outputs = llm.generate(prompts, params, use_tqdm=False)
    seconds = time.perf_counter() - started
    tokens = sum(len(output.outputs[0].token_ids) for output in outputs)
    return {
        "critiques": len(outputs),
        "seconds": round(seconds, 2),
        "tokens": tokens,
        "tokens_per_s": round(tokens / seconds),
    }


def _ratios(theirs: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    return {"tokens_per_s_ours_over_raw": round(ours["tokens_per_s"] / theirs["tokens_per_s"], 3)}


if __name__ == "__main__":
    main()
