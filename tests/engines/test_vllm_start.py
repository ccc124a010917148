"""vLLM that does not start, or not as it was told: wrong options, no weights, no memory; nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import os

import pytest

from rprm_jobs.errors import ConfigError, EngineError, JudgeError
from rprm_jobs.judge.resolve import Judge, resolve_judge
from workers.engines import create_engine
from workers.engines.reaper import engine_processes
from workers.engines.vllm.engine import VllmEngine

pytest.importorskip("vllm", reason="vLLM is not installed")
pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    # What vLLM and torch deprecate among themselves.
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning:(torch|vllm|transformers)(\..*)?"),
]

TINY = resolve_judge("tiny")
SAMPLING = TINY.sampling
SMALL = {"max_model_len": "1024", "max_num_seqs": "64"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_num_seq": "4"}, "max_num_seqs"),
        ({"quux": "4"}, "tensor_parallel_size"),
        ({"max_num_seqs": "many"}, "max_num_seqs|max-num-seqs"),
        ({"enforce_eager": "maybe"}, "enforce_eager=true"),
        ({"model": "other"}, "the judge decides"),
        ({"logprobs_mode": "processed_logprobs"}, "raw distribution"),
        ({"lora": "/nowhere"}, "judge of its own"),
        ({"enable_lora": "true"}, "cannot be set here"),
        ({"lora_target_modules": "q_proj"}, "cannot be set here"),
    ],
)
def test_a_wrong_engine_argument_is_refused(options: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        create_engine("vllm", TINY, options)


def test_any_engine_argument_is_within_reach() -> None:
    options = {"max-num-seqs": "7", "enable_prefix_caching": "false", "hf_overrides": '{"rope_theta": 5}', "seed": "3"}
    made = create_engine("vllm", TINY, options)
    assert isinstance(made, VllmEngine)
    arguments = made._arguments
    assert (arguments.max_num_seqs, arguments.enable_prefix_caching, arguments.seed) == (7, False, 3)
    assert arguments.hf_overrides == {"rope_theta": 5}


def test_batches_are_as_large_as_those_of_the_offline_engine() -> None:
    from vllm import EngineArgs
    from vllm.usage.usage_lib import UsageContext

    made = create_engine("vllm", TINY, {"max_model_len": "1024"})
    assert isinstance(made, VllmEngine)
    ours = made._core.config().scheduler_config
    plain = EngineArgs(model=TINY.location, max_model_len=1024, enforce_eager=True, enable_chunked_prefill=False)
    theirs = plain.create_engine_config(UsageContext.LLM_CLASS).scheduler_config
    sizes = (ours.max_num_seqs, ours.max_num_batched_tokens)
    assert sizes == (theirs.max_num_seqs, theirs.max_num_batched_tokens)
    assert sizes[0] >= 256


def test_arguments_that_do_not_fit_the_judge_are_refused_at_start(runner: asyncio.Runner) -> None:
    made = create_engine("vllm", TINY, {"max_model_len": "100000"})
    with pytest.raises(JudgeError, match="max_model_len"):
        runner.run(made.start())


def test_a_judge_without_weights_is_refused_at_start(runner: asyncio.Runner, tmp_path: os.PathLike[str]) -> None:
    judge = Judge("none", str(tmp_path), None, TINY.template, SAMPLING, "0" * 64)
    with pytest.raises(JudgeError, match="no weights"):
        runner.run(create_engine("vllm", judge, {}).start())


def open_contexts() -> int:
    """Contexts of message sockets that nobody has closed."""
    import zmq

    # Not `isinstance`: it asks objects that answer with a deprecation, and there are shadows, which hold nothing.
    return sum(type(one) is zmq.Context and not one.closed for one in gc.get_objects())


def test_too_little_memory_is_said_in_plain_words_and_leaves_nothing(runner: asyncio.Runner) -> None:
    before = set(engine_processes(os.getpid())), open_contexts()
    made = create_engine("vllm", TINY, {**SMALL, "kv_cache_memory_bytes": str(10**14)})
    # The process that failed said why, not the one that we started it from.
    with pytest.raises(EngineError, match=r"^.*not enough memory for the judge: Available memory .*93132") as raised:
        runner.run(made.start())
    assert "max_model_len" in (raised.value.hint or "")
    assert (set(engine_processes(os.getpid())), open_contexts()) == before
