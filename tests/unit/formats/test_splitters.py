"""Where each named rule cuts a text, what it never cuts, and which part of a `<think>` trace it looks at."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm_jobs.errors import ConfigError
from rprm_jobs.formats.splitters import NoSuchPart, make_splitting

TRACE = "<think>\nHm.\n\nWait.\n</think>\n\nOne.\n\nTwo."


def pieces(text: str, rule: str | None = None, **options: Any) -> list[str]:
    return [text[start:end] for start, end in make_splitting(rule, **options).cut(text)]


CUTS = [
    ("blank-lines", "a\nb\n \t\n\n c ", ["a\nb", "c"]),
    ("lines", "a\n\nb\n", ["a", "b"]),
    ("step-headers", "Intro.\n\nStep 1: a\nb\n**Step 2:** c\n### step 3\nd",
     ["Intro.\n\nStep 1: a\nb", "**Step 2:** c", "### step 3\nd"]),
    ("step-headers", "No header. Step by step 2: x", ["No header. Step by step 2: x"]),
    ("sentences", "We have 3.5, e.g. Red. So $x = 1. Y$ is. Why? \"Yes.\" Dr. Who.\n1. First\n\nend",
     ["We have 3.5, e.g. Red.", "So $x = 1. Y$ is.", "Why?", '"Yes."', "Dr. Who.", "1. First", "end"]),
    ("regex:-{3,}", "a---b--c----d", ["a", "b--c", "d"]),
    ("regex:(?=^Case)", "Case 1\nx\nCase 2", ["Case 1\nx", "Case 2"]),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "text", "steps"), CUTS)
def test_where_a_rule_cuts(rule: str, text: str, steps: list[str]) -> None:
    assert pieces(text, rule) == steps


def test_markers_cut_at_turns_of_thought_and_join_what_is_short() -> None:
    text = "We need x and nothing else. So we get 1.\nWait, that is wrong. But no marker is needed, however small."
    assert pieces(text, "markers", min_chars=1) == [
        "We need x and nothing else.",
        "So we get 1.",
        "Wait, that is wrong.",
        "But no marker is needed, however small.",
    ]
    assert pieces(text, "markers", min_chars=30) == [
        "We need x and nothing else. So we get 1.",
        "Wait, that is wrong. But no marker is needed, however small.",
    ]
    assert pieces(text, "markers") == [text]


@pytest.mark.parametrize(
    "whole",
    [
        "$$x\n\ny$$",
        "\\[x\n\ny\\]",
        "```py\nx\n\ny\n```",
        "~~~\nx\n\n```\n~~~",
        "\\begin{align*}\nx\n\n\\begin{align*}y\\end{align*}\n\nz\\end{align*}",
    ],
)
@pytest.mark.parametrize("rule", ["blank-lines", "lines", "sentences", "regex:\\n\\n"])
def test_math_code_and_environments_stay_whole(whole: str, rule: str) -> None:
    assert pieces(f"A\n\n{whole}\n\nB", rule) == ["A", whole, "B"]


@pytest.mark.parametrize("opener", ["$$", "\\[", "```", "\\begin{align}"])
def test_what_never_ends_protects_nothing(opener: str) -> None:
    assert pieces(f"A\n\n{opener}\n\nB") == ["A", opener, "B"]


PARTS = [
    (TRACE, "response", ["One.", "Two."]),
    (TRACE, "thinking", ["Hm.", "Wait."]),
    (TRACE, "all", ["Hm.", "Wait.", "One.", "Two."]),
    (TRACE, None, ["Hm.", "Wait.", "One.", "Two."]),
    # Chat templates put the opening tag into the prompt.
    (TRACE.removeprefix("<think>"), "response", ["One.", "Two."]),
    (TRACE.removeprefix("<think>"), "thinking", ["Hm.", "Wait."]),
    ("<think>a</think>b<think>c</think>d", "thinking", ["a", "c"]),
    ("<think>a</think>b<think>c</think>d", "response", ["b", "d"]),
    ("Only this.", "response", ["Only this."]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "part", "steps"), PARTS)
def test_parts_of_a_trace(text: str, part: str | None, steps: list[str]) -> None:
    assert pieces(text, part=part) == steps


@pytest.mark.parametrize(
    ("text", "part", "reason"),
    [("<think>cut off", "response", "the thinking never ends"), ("One.", "thinking", "there is no <think> part")],
)
def test_a_part_that_is_not_there(text: str, part: str, reason: str) -> None:
    with pytest.raises(NoSuchPart, match=reason):
        pieces(text, part=part)


def test_escapes_in_a_separator() -> None:
    assert pieces("a \\neq b\nc", separator="\\n") == ["a \\neq b", "c"]
    assert pieces("a\\nb", separator="\\\\n") == ["a", "b"]
    assert pieces("a || b", separator="||") == ["a", "b"]


def test_short_steps_are_joined_with_what_follows() -> None:
    assert pieces("a\n\nbcd\n\nefg\n\nh", min_chars=3) == ["a\n\nbcd", "efg\n\nh"]
    assert pieces("a", min_chars=3) == ["a"]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"rule": "paragraphs"}, "--split-steps paragraphs is no rule"),
        ({"rule": "regex:("}, "the regular expression is not valid"),
        ({"rule": "regex:"}, "has no pattern"),
        ({"rule": "lines", "separator": "x"}, "both cut"),
        ({"separator": ""}, "--step-separator is empty"),
        ({"part": "thoughts"}, "--part thoughts is no part"),
    ],
)
def test_options_that_say_nothing(options: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        make_splitting(options.pop("rule", None), **options)


words = st.sampled_from(
    ["a", "Step 1:", "\n", "\n\n", "$$", "```\n", "\\[", "\\]", "Wait", ". ", "\\begin{a}", "\\end{a}"]
)
traces = st.lists(words | st.text(max_size=3), max_size=20).map("".join)
rules = st.sampled_from(["blank-lines", "lines", "step-headers", "sentences", "markers", "regex:a|(?=S)", "regex:$"])


@given(traces, rules, st.integers(0, 10))
def test_nothing_but_separators_is_lost_and_spans_ascend(text: str, rule: str, min_chars: int) -> None:
    spans = make_splitting(rule, min_chars=min_chars).cut(text)
    flat = [place for span in spans for place in span]
    assert flat == sorted(flat)
    assert all(text[start:end] and text[start:end] == text[start:end].strip() for start, end in spans)
    if not rule.startswith("regex"):
        kept = "".join(text[start:end] for start, end in spans)
        assert "".join(kept.split()) == "".join(text.split())


@pytest.mark.parametrize("word", ["\\[", "$$", "```\n", "\\begin{a}", "\\(", "$a ", "\n \t", "?) A", "# ", "#", "**"])
@pytest.mark.parametrize("rule", ["blank-lines", "sentences", "markers", "step-headers"])
def test_no_text_takes_quadratic_time(word: str, rule: str) -> None:
    text = word * (200_000 // len(word))
    begin = time.process_time()
    make_splitting(rule).cut(text)
    assert time.process_time() - begin < 3


@pytest.mark.parametrize(
    ("rule", "steps"),
    [
        ("sentences", ["先算总数。", "共有3个“苹果。”", "然后乘以2！", "结果是6？", "对。"]),
        ("sentences", ["まず計算します。", "「はい。」", "と言う。"]),
        ("step-headers", ["解：\n步骤1：先算。\n", "步骤 2：再算。\n", "**第三步**：答案。"]),
        ("step-headers", ["第一步，设x=1。\n", "第二步，代入。\n这是第一步骤。\n第三步的结果"]),
        ("markers", ["我们先算，它等于十二。" * 12, "等等，这里不对，重新来过。" * 12, "所以答案是十二。" * 20]),
        ("sentences", ["Add first.", "1. Add.", "2. Subtract."]),
        ("sentences", ["Hmm...", "Wait.", "What?!", "It costs 3.50 dollars.", "See Fig. 2 for it."]),
    ],
)
def test_scripts_without_spaces_and_numbers_in_a_line(rule: str, steps: list[str]) -> None:
    is_spaced = any("a" <= character <= "z" for character in "".join(steps))
    text = (" " if is_spaced else "").join(steps)
    spans = make_splitting(rule, min_chars=1).cut(text)
    if rule == "markers":
        # One that repeats is joined until it is a line of thought.
        joined = "".join(text[start:end] for start, end in spans)
        assert joined == text
        assert {text[start:end][:2] for start, end in spans} >= {"我们", "等等", "所以"}
        return
    assert [text[start:end] for start, end in spans] == [step.strip() for step in steps]
