"""From a rendered prompt to token ids. Only the chat frame may hold special tokens; the message is plain text.

The whole message is tokenised in one piece, so for a rollout without special tokens the ids are those of
`apply_chat_template(..., tokenize=True)`, which is what the published judges were trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rprm_jobs.errors import JudgeError
from rprm_jobs.judge.verdict import thinking_opening

_SENTINEL = "Zq7MessageGoesHere7qZ"


class PromptEncoder:
    """Wraps a Hugging Face fast tokenizer that has a chat template.

    Raises JudgeError when the template is missing, does not show the message as it is exactly once, or when " Yes"
    and " No" begin with the same token (P(Yes) would then have no meaning).
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        prefix, suffix = _chat_frame(tokenizer)
        self._prefix = tuple(tokenizer.encode(prefix, add_special_tokens=False))
        self._suffix = tuple(tokenizer.encode(suffix, add_special_tokens=False))
        self._special = frozenset(tokenizer.all_special_ids)
        self.opening = thinking_opening(suffix)
        self.yes_id, self.no_id = _answer_ids(tokenizer)

    def encode(self, message: str, prefill: str = "") -> list[int]:
        """Token ids of the chat frame with `message` as its one user turn, ready for generation.

        `prefill` is how the answer begins. Its tokens are those of the text by itself, which may differ from those that
        a model would have written where a word was cut.
        """
        return [*self._prefix, *self._plain(message), *self._suffix, *(self._plain(prefill) if prefill else ())]

    def _plain(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        if not self._special.isdisjoint(ids):
            raise JudgeError(
                "the tokenizer turns plain text into special tokens",
                hint="use the judge's fast tokenizer (tokenizer.json)",
            )
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of generated ids, special tokens left out, spaces untouched."""
        return str(self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def decode_answer(self, ids: Sequence[int]) -> str:
        """The text of a whole answer: `decode` behind the thinking block that the chat frame may have opened."""
        return self.opening + self.decode(ids)


def _chat_frame(tokenizer: Any) -> tuple[str, str]:
    if not getattr(tokenizer, "chat_template", None):
        raise JudgeError("the tokenizer has no chat template", hint="add chat_template.jinja to the judge's folder")
    messages = [{"role": "user", "content": _SENTINEL}]
    framed = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    if framed.count(_SENTINEL) != 1:
        raise JudgeError("the chat template does not show the user's message exactly once")
    prefix, suffix = framed.split(_SENTINEL)
    return prefix, suffix


def _answer_ids(tokenizer: Any) -> tuple[int, int]:
    yes, no = (tokenizer.encode(word, add_special_tokens=False) for word in (" Yes", " No"))
    if not yes or not no or yes[0] == no[0]:
        raise JudgeError(
            '" Yes" and " No" do not begin with distinct tokens, so P(Yes) cannot be read',
            hint="use a judge whose tokenizer keeps the two words apart",
        )
    return int(yes[0]), int(no[0])
