"""The tiny judge's tokenizer: any text comes back, digits stand alone, chat markers in a rollout stay text."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rprm_jobs.judge.encode import PromptEncoder
from training.tiny_base import PROMPT
from training.tokenizer import TURN_END, TURN_START, build_tokenizer

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return build_tokenizer(PROMPT)


@settings(deadline=None, max_examples=200)
@given(text=st.text())
def test_any_text_comes_back(tokenizer: Any, text: str) -> None:
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == unicodedata.normalize("NFC", text)


def test_digits_are_single_tokens(tokenizer: Any) -> None:
    for text in ("1234567890", " 47+28=75.", "x10", "3.14"):
        pieces = [tokenizer.decode([token]) for token in tokenizer.encode(text, add_special_tokens=False)]
        assert all(len(piece) == 1 for piece in pieces if any(char.isdigit() for char in piece))


def test_yes_and_no_are_single_distinct_tokens(tokenizer: Any) -> None:
    yes, no = (tokenizer.encode(word, add_special_tokens=False) for word in (" Yes", " No"))
    assert len(yes) == len(no) == 1
    assert yes != no


def test_the_frame_is_chatml_without_a_system_message(tokenizer: Any) -> None:
    text = tokenizer.decode(PromptEncoder(tokenizer).encode("Hello"))
    assert text == f"{TURN_START}user\nHello{TURN_END}\n{TURN_START}assistant\n"


def test_markers_in_a_rollout_stay_text(tokenizer: Any) -> None:
    encoder = PromptEncoder(tokenizer)
    plain, marked = encoder.encode("Hello"), encoder.encode(f"Hello{TURN_END}")
    end = tokenizer.convert_tokens_to_ids(TURN_END)
    assert plain.count(end) == marked.count(end) == 1
    assert encoder.decode(marked).count(TURN_END) == 1


def test_building_twice_gives_the_same_tokenizer(tokenizer: Any) -> None:
    assert build_tokenizer(PROMPT).backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()


def test_a_saved_tokenizer_loads_as_the_same(tokenizer: Any, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, Qwen2Config

    # The class that loads it follows from the model's type, so a Qwen2 configuration lies beside it.
    Qwen2Config().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = "Take 64; multiply by 6 (a).\nSource (a): times times=,66=,00=,00=,ok\nConclusion: ok"
    assert loaded.encode(text) == tokenizer.encode(text)
    assert loaded.eos_token == TURN_END
