"""Encoding: only the chat frame holds special tokens, and a tokenizer with which P(Yes) has no meaning is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm_jobs.errors import JudgeError
from rprm_jobs.judge.encode import PromptEncoder

SPECIAL = {"<|im_start|>": 1, "<|im_end|>": 2}
FRAME = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"


class ToyTokenizer:
    """Characters as ids from 100 on, two special tokens, " Yes" and " No" as one token each."""

    def __init__(
        self, *, frame: str | None = FRAME, words: tuple[str, ...] = (" Yes", " No"), fast: bool = True
    ) -> None:
        self.chat_template = frame
        self._words = {word: 10 + i for i, word in enumerate(words)}
        self._fast = fast

    @property
    def all_special_ids(self) -> list[int]:
        return list(SPECIAL.values())

    def apply_chat_template(
        self, messages: list[dict[str, str]], *, tokenize: bool, add_generation_prompt: bool
    ) -> str:
        assert not tokenize
        assert add_generation_prompt
        return str(self.chat_template).replace("{}", messages[0]["content"])

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        assert not add_special_tokens
        return self._ids(text, {**SPECIAL, **self._words})

    def __call__(self, text: str, *, add_special_tokens: bool, split_special_tokens: bool) -> dict[str, list[int]]:
        assert not add_special_tokens
        known = self._words if split_special_tokens and self._fast else {**SPECIAL, **self._words}
        return {"input_ids": self._ids(text, known)}

    def decode(self, ids: list[int], **_: Any) -> str:
        names = {i: word for word, i in self._words.items()}
        return "".join(names[i] if i in names else chr(i - 100) for i in ids if i not in self.all_special_ids)

    @staticmethod
    def _ids(text: str, known: dict[str, int]) -> list[int]:
        if not known:
            return [100 + ord(c) for c in text]
        pieces = re.split("(" + "|".join(map(re.escape, known)) + ")", text)
        return [i for piece in pieces for i in ([known[piece]] if piece in known else [100 + ord(c) for c in piece])]


def test_the_message_stands_in_the_chat_frame() -> None:
    tokenizer = ToyTokenizer()
    ids = PromptEncoder(tokenizer).encode("Is 1 + 1 = 2?")
    assert ids == tokenizer.encode(FRAME.replace("{}", "Is 1 + 1 = 2?"), add_special_tokens=False)


@given(st.text(max_size=20), st.sampled_from(list(SPECIAL)), st.text(max_size=20))
def test_special_tokens_in_a_message_stay_text(before: str, special: str, after: str) -> None:
    encoder = PromptEncoder(ToyTokenizer())
    empty = encoder.encode("")
    ids = encoder.encode(before + special + after)
    assert [i for i in ids if i in SPECIAL.values()] == [i for i in empty if i in SPECIAL.values()]
    assert before + special + after in encoder.decode(ids)


def test_a_tokenizer_that_cannot_keep_special_tokens_as_text_is_refused() -> None:
    encoder = PromptEncoder(ToyTokenizer(fast=False))
    assert encoder.encode("harmless")
    with pytest.raises(JudgeError, match="special tokens"):
        encoder.encode("<|im_end|>")


@pytest.mark.parametrize(
    ("tokenizer", "message"),
    [
        (ToyTokenizer(frame=None), "no chat template"),
        (ToyTokenizer(frame="no message here"), "exactly once"),
        (ToyTokenizer(frame="{} and {}"), "exactly once"),
        (ToyTokenizer(words=()), "distinct tokens"),
    ],
)
def test_an_unusable_tokenizer_is_refused(tokenizer: ToyTokenizer, message: str) -> None:
    with pytest.raises(JudgeError, match=message):
        PromptEncoder(tokenizer)


def test_the_answers_are_read_with_their_space() -> None:
    encoder = PromptEncoder(ToyTokenizer())
    assert (encoder.yes_id, encoder.no_id) == (10, 11)


@pytest.mark.engine
def test_the_tiny_judges_tokenizer_gives_the_ids_of_its_chat_template() -> None:
    transformers = pytest.importorskip("transformers")
    from rprm_jobs.judge.resolve import resolve_judge

    judge = resolve_judge("tiny")
    tokenizer = transformers.AutoTokenizer.from_pretrained(judge.location)
    message = judge.template.render("A problem", ["1 + 1 = 2", "2 + 2 = 4"], 1)
    framed = tokenizer.apply_chat_template(
        [{"role": "user", "content": message}], tokenize=True, add_generation_prompt=True, return_dict=False
    )
    encoder = PromptEncoder(tokenizer)
    assert encoder.encode(message) == framed
    hostile = encoder.encode(message + "".join(tokenizer.all_special_tokens))
    special = set(tokenizer.all_special_ids)
    assert [i for i in hostile if i in special] == [i for i in framed if i in special]


def test_an_answer_that_is_begun_stands_behind_the_frame_as_plain_text() -> None:
    encoder = PromptEncoder(ToyTokenizer())
    ids = encoder.encode("a question", "First step.<|im_end|>")
    whole = encoder.encode("a question")
    assert ids[: len(whole)] == whole
    assert len(ids) > len(whole)
    assert encoder.decode(ids).endswith("First step.<|im_end|>")
