"""What two log-probabilities at every token cost in vLLM: `python -m benchmarks.logprobs_cost`.

The same prompts and seeds, three ways, in turn: with the log-probabilities of Yes and No at each token (as our engine
asks), without any, and without any but with a second request for one token that reads them at the last place, whose
prompt is in the prefix cache. Every text is `--tokens` long, so that all ways generate the same tokens. Ratios are
seconds beside those of the way without, of the same round; the median of the rounds and their range.

`--shape` is the tiny judge's, the same with Qwen2.5's 151,936 tokens, or Qwen2.5-0.5B's whole; the weights of the last
two are random, since only the time counts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.served import QUIET
from rprm_jobs.judge.resolve import resolve_judge
from workers.engines.reaper import engine_processes, kill

_QWEN_VOCABULARY = 151_936
_HALF_BILLION = {
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "layer_types": ["full_attention"] * 24,
}
_SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {},
    "tiny-152k": {"vocab_size": _QWEN_VOCABULARY},
    "0.5b": {"vocab_size": _QWEN_VOCABULARY, **_HALF_BILLION},
}
# Of the tiny judge's tokenizer, and in any vocabulary; which tokens they are does not matter for the time.
_YES_NO = [100, 101]


def main() -> None:
    """Parse, measure in a child, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=list(_SHAPES), default="tiny")
    parser.add_argument("--critiques", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=100, help="of each critique")
    parser.add_argument("--prompt-tokens", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(_measure(args)), flush=True)
        # vLLM's offline engine waits at exit for a core that nobody has told to stop.
        kill(engine_processes(os.getpid()))
        return
    before = harness.machine()
    command = [sys.executable, "-m", "benchmarks.logprobs_cost", "--child", *sys.argv[1:]]
    measured = json.loads(harness.run_measured(command, harness.environment("", QUIET)).stdout.splitlines()[-1])
    sizes = {name: getattr(args, name) for name in ("shape", "critiques", "tokens", "prompt_tokens", "rounds")}
    harness.report("logprobs_cost", before, {**sizes, **measured})


def _measure(args: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        llm = _engine(args.shape, Path(folder))
        _round(llm, args, 0)
        rounds = [_round(llm, args, number + 1) for number in range(args.rounds)]
    return {
        "tokens_per_s_without": round(args.critiques * args.tokens / statistics.median(r["without"] for r in rounds)),
        "seconds_beside_without": {
            way: _ratio([r[way] / r["without"] for r in rounds]) for way in ("at_every_token", "one_more_request")
        },
    }


def _ratio(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 3),
        "least": round(min(values), 3),
        "most": round(max(values), 3),
    }


def _engine(shape: str, folder: Path) -> Any:
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
    from vllm import LLM

    source = Path(resolve_judge("tiny").location)
    (folder / "config.json").write_text(json.dumps(json.loads((source / "config.json").read_text()) | _SHAPES[shape]))
    return LLM(
        str(folder),
        skip_tokenizer_init=True,
        load_format="dummy",
        dtype="float32",
        enforce_eager=True,
        enable_chunked_prefill=False,
        max_model_len=2048,
        block_size=32,
    )


def _round(llm: Any, args: argparse.Namespace, number: int) -> dict[str, float]:
    """Seconds of each way. Each has prompts of its own, so that none finds another's in the prefix cache."""
    ways = ("without", "at_every_token", "one_more_request")
    # Every way is first, second and last equally often.
    turn = number % len(ways)
    seconds = {}
    for way in ways[turn:] + ways[:turn]:
        # Eight critiques of each step, as a job of K=8 has them.
        first = (number * len(ways) + ways.index(way)) * args.critiques
        prompts = [_prompt(first + index // 8, args.prompt_tokens) for index in range(args.critiques)]
        started = time.perf_counter()
        _generate(llm, prompts, args.tokens, way)
        seconds[way] = time.perf_counter() - started
    return seconds


def _prompt(number: int, length: int) -> list[int]:
    # The number in the first tokens, so that no two prompts share a block.
    digits = [3 + (number // 400**place) % 400 for place in range(3)]
    return digits + [3 + (number * 31 + index * 7) % 500 for index in range(length - len(digits))]


def _generate(llm: Any, prompts: list[list[int]], tokens: int, way: str) -> None:
    from vllm import SamplingParams

    read: dict[str, Any] = {"logprob_token_ids": _YES_NO, "flat_logprobs": True}
    extra = read if way == "at_every_token" else {}
    params = [
        SamplingParams(
            temperature=1.0, top_p=0.95, max_tokens=tokens, ignore_eos=True, seed=seed, detokenize=False, **extra
        )
        for seed in range(len(prompts))
    ]
    outputs = llm.generate([{"prompt_token_ids": ids} for ids in prompts], params, use_tqdm=False)
    assert all(len(output.outputs[0].token_ids) == tokens for output in outputs)
    if way == "one_more_request":
        places = [
            {"prompt_token_ids": ids + list(output.outputs[0].token_ids[:-1])}
            for ids, output in zip(prompts, outputs, strict=True)
        ]
        last_token = SamplingParams(temperature=0.0, max_tokens=1, detokenize=False, **read)
        llm.generate(places, last_token, use_tqdm=False)


if __name__ == "__main__":
    main()
