"""An engine's name tells engines apart whose judgements are not each other's."""

from __future__ import annotations

import pytest

from rprm_jobs.judge.judgement import judgement_space
from tests.support.jobs import JUDGE, make_recipe
from workers.engines.naming import engine_name
from workers.engines.openai.engine import OpenaiEngine
from workers.engines.openai.options import OpenaiOptions

CHANGING = {"dtype", "quantization", "hf_overrides"}
URL = "http://127.0.0.1:1/v1"


def test_settings_that_change_nothing_leave_the_plain_name() -> None:
    assert engine_name("vllm", {}, CHANGING) == "vllm"
    assert engine_name("vllm", {"max_num_seqs": "8"}, CHANGING) == "vllm"


def test_the_others_are_told_in_one_order_and_one_word() -> None:
    name = engine_name("vllm", {"quantization": "fp8", "dtype": "half", "max_num_seqs": "8"}, CHANGING)
    assert name == engine_name("vllm", {"dtype": "half", "quantization": "fp8"}, CHANGING)
    assert name == "vllm+dtype=half,quantization=fp8"
    rope = engine_name("vllm", {"hf-overrides": '{"rope_theta": 10000.0}'}, CHANGING)
    other = engine_name("vllm", {"hf-overrides": '{"rope_theta": 20000.0}'}, CHANGING)
    assert rope != other
    assert len(rope.split()) == len(other.split()) == 1


def test_judgements_of_another_name_are_others() -> None:
    recipe = make_recipe()
    assert judgement_space(recipe, "vllm") != judgement_space(recipe, "vllm+quantization=fp8")


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "openai"),
        ({"concurrency": 9, "top_logprobs": 5}, "openai"),
        ({"model": "other"}, "openai+model=other"),
        ({"top_logprobs": 0}, "openai+top_logprobs=0"),
    ],
)
def test_a_server_is_named_by_what_it_is_asked_for(options: dict[str, object], name: str) -> None:
    asked = OpenaiOptions(base_url=URL, **options)  # type: ignore[arg-type]
    assert OpenaiEngine(JUDGE, asked)._name == name
