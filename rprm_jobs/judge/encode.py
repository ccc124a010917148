"""From a rendered prompt to token ids. Only the chat frame may hold special tokens; the message is plain text.

Frame and message are tokenised in one piece, so for a rollout without special tokens the ids are those of
`apply_chat_template(..., tokenize=True)`, which is what the published judges were trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rprm_jobs.errors import JudgeError, Refused
from rprm_jobs.judge.frames import MARK
from rprm_jobs.judge.verdict import MARKER, thinking_opening
from rprm_jobs.types import Message, Turn

_SENTINEL = "Zq7MessageGoesHere7qZ"


class PromptEncoder:
    """Wraps a Hugging Face fast tokenizer that has a chat template.

    `yes_id` and `no_id` are the tokens that tell the two answers apart behind the verdict's question. Raises JudgeError
    when there are none (P(Yes) would have no meaning), and when the template is missing, fails, or does not show the
    message as it is exactly once.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._special = frozenset(tokenizer.all_special_ids)
        self._frames: dict[tuple[Turn, ...], tuple[str, str]] = {}
        self.opening = thinking_opening(self._chat_frame(())[1])
        self.yes_id, self.no_id = _answer_ids(tokenizer)

    def encode(self, message: str | Message, prefill: str = "") -> list[int]:
        """Token ids of the chat frame with `message` as its last user turn, ready for generation.

        `prefill` is how the answer begins. Its tokens are those of the text by itself, which may differ from those that
        a model would have written where a word was cut. Raises Refused for a message in another model's frame.
        """
        message = Message(message) if isinstance(message, str) else message
        if message.frame is None:
            before, after = self._chat_frame(message.before)
            after = after if message.think else after.removesuffix(thinking_opening(after))
            ids = self._framed(before, message.text, after)
        else:
            self._check_frame(message.frame)
            ids = [*self._beginning(message.frame[0]), *self._framed(message.frame[0], message.text, message.frame[1])]
        return [*ids, *(self._plain(prefill) if prefill else ())]

    def choice(self, message: str | Message, prefill: str, words: Sequence[str]) -> tuple[list[int], list[int]]:
        """Ids of the chat frame and an answer that begins with `prefill`, and the token with which each word goes on.

        A word may be cut together with the end of `prefill`: what all have in common belongs to the former. A thinking
        block that the frame opens need not be repeated. Raises Refused where two words go on with the same token.
        """
        framed = self.encode(message)
        answers = [self._plain(prefill.removeprefix(self.opening) + word) for word in words]
        same = 0
        while all(len(answer) > same + 1 for answer in answers) and len({answer[same] for answer in answers}) == 1:
            same += 1
        tokens = [answer[same] for answer in answers]
        if len(set(tokens)) < len(words):
            raise Refused(f"the judge's tokenizer does not tell {' and '.join(map(repr, words))} apart by one token")
        return [*framed, *answers[0][:same]], tokens

    def decode(self, ids: Sequence[int]) -> str:
        """The text of generated ids, special tokens left out, spaces untouched."""
        return str(self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def decode_answer(self, ids: Sequence[int]) -> str:
        """The text of a whole answer: `decode` behind the thinking block that the chat frame may have opened."""
        return self.opening + self.decode(ids)

    def answer_context(self, before: str) -> list[int]:
        """Ids of a critique up to where its answer begins; `before` ends in the verdict's question and a space."""
        return _context(self._tokenizer, before)[0]

    def _framed(self, before: str, text: str, after: str) -> list[int]:
        whole: list[int] = self._tokenizer.encode(before + text + after, add_special_tokens=False)
        parts = [self._tokenizer.encode(part, add_special_tokens=False) for part in (before, after)]
        if self._count_special(whole) == sum(map(self._count_special, parts)):
            return whole
        # The message holds marks that would be special tokens; by itself it can be tokenised without them.
        return [*parts[0], *self._plain(text), *parts[1]]

    def _count_special(self, ids: Sequence[int]) -> int:
        return sum(i in self._special for i in ids)

    def _plain(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        if not self._special.isdisjoint(ids):
            raise JudgeError(
                "the tokenizer turns plain text into special tokens",
                hint="use the judge's fast tokenizer (tokenizer.json)",
            )
        return ids

    def _beginning(self, head: str) -> list[int]:
        """The token that begins every text of this tokenizer, if a prompt file's own frame leaves it out."""
        bos, text = self._tokenizer.bos_token_id, self._tokenizer.bos_token
        adds = bos is not None and self._tokenizer.encode("", add_special_tokens=True)[:1] == [bos]
        return [bos] if adds and not head.startswith(text) else []

    def _check_frame(self, frame: tuple[str, str]) -> None:
        for mark in MARK.findall("".join(frame)):
            if len(self._tokenizer.encode(mark, add_special_tokens=False)) != 1:
                raise Refused(f"the prompt file's chat frame is another model's: {mark} is no token of this judge")

    def _chat_frame(self, turns: tuple[Turn, ...]) -> tuple[str, str]:
        """What the chat template puts before and after the user's message that follows `turns`."""
        if turns not in self._frames:
            self._frames[turns] = _chat_frame(self._tokenizer, turns)
        return self._frames[turns]


def _chat_frame(tokenizer: Any, turns: tuple[Turn, ...]) -> tuple[str, str]:
    if not getattr(tokenizer, "chat_template", None):
        raise JudgeError("the tokenizer has no chat template", hint="add chat_template.jinja to the judge's folder")
    messages = [{"role": turn.role, "content": turn.text} for turn in turns]
    try:
        framed = tokenizer.apply_chat_template(
            [*messages, {"role": "user", "content": _SENTINEL}], tokenize=False, add_generation_prompt=True
        )
    # A template is a program of the judge's author, and may raise anything; many refuse a system message so.
    except Exception as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        if turns:
            roles = ", ".join(turn.role for turn in turns)
            raise Refused(f"the judge's chat template takes no such turns ({roles}): {why}") from error
        raise JudgeError(f"the chat template fails: {why}", hint="correct chat_template.jinja") from error
    if not isinstance(framed, str) or framed.count(_SENTINEL) != 1:
        raise JudgeError("the chat template does not show the user's message exactly once")
    prefix, suffix = framed.split(_SENTINEL)
    return prefix, suffix


def _answer_ids(tokenizer: Any) -> tuple[int, int]:
    _, yes, no = _context(tokenizer, f"\n{MARKER} ")
    if yes is None or no is None:
        raise JudgeError(
            '" Yes" and " No" do not begin with distinct tokens, so P(Yes) cannot be read',
            hint="use a judge whose tokenizer keeps the two words apart",
        )
    return yes, no


def _context(tokenizer: Any, before: str) -> tuple[list[int], int | None, int | None]:
    """The ids that `before` + Yes and `before` + No begin with alike, and the first that tell them apart.

    Only in its place does a word show the token that it has there: at a text's beginning some tokenizers add a space.
    """
    yes, no = (tokenizer.encode(before + word, add_special_tokens=False) for word in ("Yes", "No"))
    same = next((n for n, (a, b) in enumerate(zip(yes, no, strict=False)) if a != b), None)
    if same is None:
        return list(yes), None, None
    return list(yes[:same]), int(yes[same]), int(no[same])
