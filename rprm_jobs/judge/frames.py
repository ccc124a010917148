"""Prompt files that hold their own chat frame, as R-PRM's evaluation prompt does: found by the answer they begin.

Such a file is sent as it stands, once, its marks as special tokens. A rollout's text inside it stays text. The two
characters backslash and n, which that file holds between its turns, stay two characters, as its authors sent them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rprm_jobs.errors import ConfigError
from rprm_jobs.types import Turn

_BREAK = r"(?:\n|\\n)*"


@dataclass(frozen=True, slots=True)
class Family:
    """How a family of models marks its turns: regular expressions; group 1 of `system` is its text.

    `system_turn` is a system turn to be put in front, with `{}` for the text, where the family has such.
    """

    name: str
    user: str
    end: str
    answer: str
    system: str
    system_turn: str | None = None


_FAMILIES = (
    Family(
        "ChatML",
        rf"<\|im_start\|>user{_BREAK}",
        r"<\|im_end\|>",
        r"<\|im_start\|>assistant",
        rf"<\|im_start\|>system{_BREAK}(.*?)<\|im_end\|>",
        "<|im_start|>system\n{}<|im_end|>\n",
    ),
    Family(
        "Llama 3",
        rf"<\|start_header_id\|>user<\|end_header_id\|>{_BREAK}",
        r"<\|eot_id\|>",
        r"<\|start_header_id\|>assistant<\|end_header_id\|>",
        rf"<\|start_header_id\|>system<\|end_header_id\|>{_BREAK}(.*?)<\|eot_id\|>",
    ),
    Family("Gemma", rf"<start_of_turn>user{_BREAK}", r"<end_of_turn>", r"<start_of_turn>model", r"(?!)()"),
    Family(
        "Phi", rf"<\|user\|>{_BREAK}", r"<\|end\|>|</s>", r"<\|assistant\|>", rf"<\|system\|>{_BREAK}(.*?)(?:<\||</s>)"
    ),
    Family(
        "DeepSeek",
        "<\uff5cUser\uff5c>",
        "<\uff5cAssistant\uff5c>",
        "<\uff5cAssistant\uff5c>",
        "(?:sentence\uff5c>)(.+?)<\uff5cUser\uff5c>",
    ),
    Family(
        "Llama 2",
        rf"\[INST\] ?(?:<<SYS>>.*?<</SYS>>)?{_BREAK}",
        r" ?\[/INST\]",
        r"\[/INST\]",
        r"<<SYS>>\n?(.*?)\n?<</SYS>>",
    ),
)
# The answer's beginning ends the file, at most with an opened thinking block behind it.
_ENDS = re.compile(rf"(?:{'|'.join(family.answer for family in _FAMILIES)})(?:\s|\\n|<think>)*\Z")
MARK = re.compile("<[|\uff5c][^<>\\s]{1,40}[|\uff5c]>|<(?:start|end)_of_turn>")


@dataclass(frozen=True, slots=True)
class Frame:
    """A framed prompt, cut: `head`, the user's message with its fields, and `tail`; `before` are the head's turns."""

    family: Family
    head: str
    inner: str
    tail: str

    @property
    def before(self) -> tuple[Turn, ...]:
        system = re.search(self.family.system, self.head, re.DOTALL)
        return (Turn("system", system[1].strip()),) if system and system[1].strip() else ()

    def with_system(self, text: str) -> str:
        """The whole prompt with another system message. Raises ConfigError where its frame has no place for one."""
        system = re.search(self.family.system, self.head, re.DOTALL)
        if system is not None:
            head = self.head[: system.start(1)] + text + self.head[system.end(1) :]
        elif self.family.system_turn is not None:
            head = self.family.system_turn.replace("{}", text) + self.head
        else:
            raise ConfigError(
                "the prompt file holds its own chat frame, and that has no system message to be replaced",
                hint="write the system message into the file",
            )
        return head + self.inner + self.tail


def find_frame(source: str, *, where: str) -> Frame | None:
    """The frame that a prompt brings, or None. Raises ConfigError for one that is cut so that no user's turn shows."""
    source = source.strip()
    if not _ENDS.search(source):
        return None
    for family in _FAMILIES:
        users = list(re.finditer(family.user, source, re.DOTALL))
        if not users:
            continue
        start = users[-1].end()
        end = re.compile(family.end).search(source, start)
        if end is not None and re.compile(family.answer).search(source, end.start()):
            return Frame(family, source[:start], source[start : end.start()], source[end.start() :])
    raise ConfigError(
        "the prompt begins the judge's answer, and no user's turn stands before that",
        where=where,
        hint="hold the whole chat frame in the file, or nothing of it",
    )
