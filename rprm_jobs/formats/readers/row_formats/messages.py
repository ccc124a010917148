"""Texts out of chat messages, and out of prompts that still stand in a chat template's frame."""

from __future__ import annotations

import re
from typing import Any

from rprm_jobs.formats.readers.bad_row import BadRow, LeftOut, kind_of
from rprm_jobs.formats.readers.row_formats.protocol import ReadContext

_ROLES = {"human": "user", "gpt": "assistant", "model": "assistant"}
# The last user turn of each frame; `{0}` is its text.
_FRAMES = [
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r".*<\|im_start\|>user\n(.*?)<\|im_end\|>\s*(?:<\|im_start\|>assistant\s*(?:<think>\s*)?)?$",
        r".*<\|start_header_id\|>user<\|end_header_id\|>\s*(.*?)<\|eot_id\|>.*$",
        r".*<start_of_turn>user\n(.*?)<end_of_turn>.*$",
        r".*<\uff5cUser\uff5c>(.*?)<\uff5cAssistant\uff5c>(?:<think>\s*)?$",
        r".*\[INST\]\s*(.*?)\s*\[/INST\]\s*$",
        r".*<\|user\|>\s*(.*?)\s*(?:<\|end\|>|<\|endoftext\|>|</s>)?\s*<\|assistant\|>\s*(?:<think>\s*)?$",
        r".*<\|start\|>user<\|message\|>(.*?)<\|end\|>\s*<\|start\|>assistant.*$",
        # Decoded without their special tokens: as the templates of Qwen and Gemma look then, and that of Llama 3.
        r"(?:system\n.*?\n)?user\n(?!\n)(.*)\n(?:assistant|model)\s*(?:<think>\s*)?$",
        r"(?:system\n\n.*)?user\n\n(.*)assistant\s*(?:<think>\s*)?$",
    )
]
_ENDS = (
    "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "<\uff5cend\u2581of\u2581sentence\uff5c>",
    "<end_of_turn>", "</s>", "<eos>", "<pad>", "<|pad|>",
)  # fmt: skip

# Parts of a message that a judge of texts cannot see, by the names that chat APIs and trainers have for them.
_PERCEIVED = {
    prefix + kind + suffix: what
    for kind, what in (("image", "an image"), ("video", "a video"), ("audio", "a recording"), ("file", "a file"))
    for prefix in ("", "input_")
    for suffix in ("", "_url")
}


def unframed_problem(text: str, context: ReadContext) -> str:
    """The last user turn, where the text stands in the frame of a known chat template; else the text as it is."""
    if "user" not in text and "INST" not in text and "User" not in text:
        return text
    for frame in _FRAMES:
        if match := frame.match(text):
            context.notes["problems taken out of a chat template's frame"] += 1
            return match[1].strip()
    return text


def unframed_solution(text: str, context: ReadContext) -> str:
    """The text without the special tokens that end it."""
    left = text.rstrip()
    if not left.endswith(_ENDS):
        return text
    context.notes["solutions whose ending special tokens were taken off"] += 1
    while token := next((end for end in _ENDS if left.endswith(end)), None):
        left = left.removesuffix(token).rstrip()
    return left


def content_of(message: Any) -> str:
    """The text of one message: a text, or its text parts one after the other.

    Raises BadRow, and LeftOut for a message that says something in an image or a recording.
    """
    if type(message) is not dict:
        raise BadRow(f"a message is {kind_of(message)}, not an object")
    content = message.get("content", message.get("value"))
    if type(content) is str:
        return content
    if content is None:
        return ""
    if type(content) is not list:
        raise BadRow(f"a message's content is {kind_of(content)}, not a text")
    for part in content:
        if type(part) is dict and (seen := _PERCEIVED.get(str(part.get("type")))) is not None:
            raise LeftOut(f"problems that need {seen}")
    texts = [part if type(part) is str else part.get("text") for part in content if type(part) in (dict, str)]
    return "".join(text for text in texts if type(text) is str)


def role_of(message: Any) -> str:
    """`user`, `assistant`, `system` or `tool`; of ShareGPT's rows too."""
    if type(message) is not dict:
        raise BadRow(f"a message is {kind_of(message)}, not an object")
    role = message.get("role", message.get("from"))
    return _ROLES.get(role, role) if type(role) is str else ""


def last_of(messages: Any, role: str) -> str | None:
    """The text of the last message of `role`; None where there is none. Raises BadRow."""
    if type(messages) is not list:
        raise BadRow(f"the messages are {kind_of(messages)}, not a list")
    for message in reversed(messages):
        if role_of(message) == role:
            return content_of(message)
    return None


def problem_of(value: Any, context: ReadContext) -> str | None:
    """The problem of a prompt that is a text, or messages: their last user turn."""
    return unframed_problem(value, context) if type(value) is str else last_of(value, "user")


def solution_of(value: Any, context: ReadContext) -> tuple[str, str | None]:
    """`(solution, reasoning)` of a completion that is a text, or messages: its assistant turns, joined.

    Raises BadRow where there is no assistant turn.
    """
    if type(value) is str:
        return unframed_solution(value, context), None
    if type(value) is not list:
        raise BadRow(f"the completion is {kind_of(value)}, not a text or a list of messages")
    turns = [message for message in value if role_of(message) == "assistant"]
    if not turns:
        raise BadRow("the completion has no assistant message")
    if len(turns) > 1:
        context.notes["solutions joined from several assistant messages"] += 1
    return "\n\n".join(text for turn in turns if (text := content_of(turn))), reasoning_of(turns)


def reasoning_of(turns: list[Any]) -> str | None:
    """What the messages carry apart as reasoning."""
    texts = [turn.get("reasoning_content") or turn.get("reasoning") for turn in turns]
    return "\n\n".join(text for text in texts if type(text) is str) or None
