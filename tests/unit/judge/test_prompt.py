"""Prompts: both notations load, everything else is literal, and no rollout text can reshape what is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm_jobs.errors import ConfigError
from rprm_jobs.judge.prompt import NO_PREVIOUS_STEPS, PromptTemplate, format_previous, format_step
from rprm_jobs.types import Turn

NAMED = "P <{problem}> B <{previous_steps}> N <{now_step}> E"
BRACES = "P <{}> B <{}> N <{}> E"


@pytest.mark.parametrize("source", [NAMED, BRACES])
def test_both_notations_ask_the_same(source: str) -> None:
    template = PromptTemplate.parse(source)
    assert template.render("q", ["a", "b", "c"], 1) == "P <q> B <Step 1: a> N <Step 2: b> E"
    assert template.render("q", ["a", "b"], 0) == f"P <q> B <{NO_PREVIOUS_STEPS}> N <Step 1: a> E"


def test_named_fields_may_stand_in_any_order() -> None:
    template = PromptTemplate.parse("{now_step}|{problem}|{previous_steps}")
    assert template.render("q", ["a", "b"], 1) == "Step 2: b|q|Step 1: a"


def test_steps_are_numbered_from_one_and_joined_by_one_newline() -> None:
    assert format_step(0, "x") == "Step 1: x"
    assert format_previous(["x", "y\nz"]) == "Step 1: x\nStep 2: y\nz"
    assert format_previous([]) == "Since the Now Step is the first step, there are no Previous Steps."


@pytest.mark.parametrize(
    "source",
    [
        "",
        "no field",
        "{problem} {previous_steps}",
        "{problem} {previous_steps} {now_step} {now_step}",
        "{} {}",
        "{} {} {} {}",
        "{problem} {} {}",
        "{problem} {previous_steps} {nowstep}",
    ],
)
def test_a_prompt_without_exactly_its_three_fields_is_refused(source: str) -> None:
    with pytest.raises(ConfigError, match=r"my\.txt: the judge prompt does not have its three fields"):
        PromptTemplate.parse(source, where="my.txt")


def test_other_braces_are_literal() -> None:
    source = r"\boxed{4} {} {x} {{problem}} {previous_steps} {now_step} {0}"
    rendered = PromptTemplate.parse(source).render("q", ["a"], 0)
    assert rendered == rf"\boxed{{4}} {{}} {{x}} {{q}} {NO_PREVIOUS_STEPS} Step 1: a {{0}}"


# Text that would do damage if fields were filled one after the other, or by str.format.
_HOSTILE = st.one_of(
    st.text(max_size=30),
    st.lists(
        st.sampled_from(
            ["{now_step}", "{problem}", "{previous_steps}", "{}", "{{", "}}", "{0}", "%s", "\\n", "<|im_end|>", "$1"]
        ),
        max_size=5,
    ).map("".join),
)


@pytest.mark.parametrize("source", [NAMED, BRACES, "{now_step}{problem}{previous_steps}"])
@given(problem=_HOSTILE, steps=st.lists(_HOSTILE, min_size=1, max_size=4), data=st.data())
def test_text_of_a_rollout_stays_text(source: str, problem: str, steps: list[str], data: st.DataObject) -> None:
    template = PromptTemplate.parse(source)
    index = data.draw(st.integers(0, len(steps) - 1))
    # Harmless stand-ins, put in their places by the template, then exchanged for the real text at those places.
    shape = template.render("\ue000", ["\ue001"] * index + ["\ue002"], index)
    fields = {"\ue000": problem, "\ue002": steps[index]}
    earlier = iter(steps)
    expected = "".join(next(earlier) if c == "\ue001" else fields.get(c, c) for c in shape)
    assert template.render(problem, steps, index) == expected


@given(steps=st.lists(st.text(max_size=10), min_size=2, max_size=5), data=st.data())
def test_later_steps_are_not_shown(steps: list[str], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(steps) - 2))
    template = PromptTemplate.parse(NAMED)
    assert template.render("q", steps, index) == template.render("q", steps[: index + 1], index)


def test_a_text_prompt_file_is_taken_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "prompt.txt"
    file.write_bytes(b"If a \\neq b then\\n{}\n{}\r\n{}\\n\xc3\xa9")
    rendered = PromptTemplate.load(file).render("q", ["s"], 0)
    assert rendered.startswith("If a \\neq b then\\nq\n")
    assert rendered.endswith("Step 1: s\\né")


def test_a_json_prompt_file_loads(tmp_path: Path) -> None:
    file = tmp_path / "prompt.json"
    template = "a \\neq b\n{}\n{}\n{}"
    file.write_text(json.dumps({"examples": [], "template": template}), encoding="utf-8")
    loaded = PromptTemplate.load(file)
    assert loaded.source == template
    assert loaded.render("q", ["s"], 0) == f"a \\neq b\nq\n{NO_PREVIOUS_STEPS}\nStep 1: s"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.json", b'{"template": ', r"p\.json:1: not JSON"),
        ("p.json", b'{"examples": []}', 'no "template" text'),
        ("p.json", b'["{} {} {}"]', 'no "template" text'),
        ("p.json", b'{"template": 3}', 'no "template" text'),
        ("p.json", b'{"template": "{} {} {}", "examples": [{"q": 1}]}', "an example"),
        ("p.json", b'{"template": "{} {} {}", "examples": [7]}', "an example"),
        ("p.json", b'{"template": "{} {} {}", "examples": {"a": 1}}', "no list"),
        ("p.json", b'{"template": "{} {} {}", "system-prompt": 5}', "no text"),
        ("p.txt", b"{} {} {}<|im_end|>\n<|im_start|>assistant\n", "no user's turn"),
        ("p.json", b'{"template": "{} {}"}', "three fields"),
        ("p.txt", b"{} {} {} \xff", "cannot be read"),
        ("absent.txt", None, "cannot be read"),
    ],
)
def test_a_bad_prompt_file_says_where_and_how_to_mend(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        PromptTemplate.load(tmp_path / name)
    assert name in caught.value.where
    assert caught.value.hint


def test_the_projects_own_prompt_asks_for_five_analyses_and_one_verdict_line() -> None:
    rendered = PromptTemplate.default().render("What is 1 + 1?", ["1 + 1 = 2"], 0)
    for heading in ("Previous Steps", "Now Step", "Data Source", "Consistency", "Calculation"):
        assert f"{heading} Analysis:" in rendered
    assert rendered.count("Verification: Is the step correct (Yes/No)? X") == 1


def test_a_byte_order_mark_is_no_part_of_the_prompt(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_bytes(b"\xef\xbb\xbf{} {} {}")
    (tmp_path / "p.json").write_bytes(b'\xef\xbb\xbf{"template": "{} {} {}"}')
    assert {PromptTemplate.load(tmp_path / name).source for name in ("p.txt", "p.json")} == {"{} {} {}"}


SYSTEM = "You are a helpful assistant."
CHATML = (
    f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\nCheck.\nQ: {{}}\nP: {{}}\nN: {{}}\nReply: <|im_end|>"
    "\\n<|im_start|>assistant\\n"
)


def test_a_prompt_file_with_its_own_chat_frame_is_sent_as_it_is_and_once(tmp_path: Path) -> None:
    """The shape of R-PRM's evaluation prompt, which ends in backslash-n, two characters; its code strips the file."""
    (tmp_path / "p.txt").write_text(f"\n{CHATML}\n", encoding="utf-8")
    template = PromptTemplate.load(tmp_path / "p.txt")
    message = template.message("q", ["a", "b"], 1)
    assert message.text == "Check.\nQ: q\nP: Step 1: a\nN: Step 2: b\nReply: "
    assert message.frame is not None
    assert message.text.join(message.frame) == CHATML.format("q", "Step 1: a", "Step 2: b")
    assert message.before == (Turn("system", SYSTEM),)
    assert template.fixed_characters == len(CHATML) - 6
    assert PromptTemplate.parse(template.source) == template
    assert PromptTemplate.parse(template.source, plain=True).message("q", ["a"], 0).frame is None


@pytest.mark.parametrize(
    ("source", "system"),
    [
        ("<|im_start|>user\n{} {} {}<|im_end|>\n<|im_start|>assistant\n<think>\n", None),
        (
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe strict.<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\n{} {} {}<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
            "Be strict.",
        ),
        ("<s>[INST] <<SYS>>\nBe strict.\n<</SYS>>\n\n{} {} {} [/INST]", "Be strict."),
        ("<s>[INST] {} {} {} [/INST]", None),
        ("<bos><start_of_turn>user\n{} {} {}<end_of_turn>\n<start_of_turn>model\n", None),
        ("<|system|>\nBe strict.<|end|>\n<|user|>\n{} {} {}<|end|>\n<|assistant|>\n", "Be strict."),
        (
            "<\uff5cbegin\u2581of\u2581sentence\uff5c>Be strict.<\uff5cUser\uff5c>{} {} {}"
            "<\uff5cAssistant\uff5c><think>\n",
            "Be strict.",
        ),
    ],
)
def test_the_frames_of_several_families_are_known(source: str, system: str | None) -> None:
    message = PromptTemplate.parse(source).message("q", ["a"], 0)
    assert message.text == f"q {NO_PREVIOUS_STEPS} Step 1: a"
    assert message.frame is not None
    assert message.text.join(message.frame) == source.strip().replace("{} {} {}", message.text)
    assert message.before == ((Turn("system", system),) if system else ())


@pytest.mark.parametrize(
    "source", ["{} {} {} <|im_end|>", "Never write <|im_start|>assistant. {} {} {}", "[INST] {} {} {}", "{} {} {}"]
)
def test_a_mark_alone_is_no_frame(source: str) -> None:
    assert PromptTemplate.parse(source).frame is None


def test_a_json_prompt_gives_the_turns_that_its_authors_code_sends(tmp_path: Path) -> None:
    document = {
        "system-prompt": "Be strict.",
        "examples": [{"question": "Q1", "answer": "A1"}, {"question": "Q2", "answer": "A2"}],
        "template": "left-brackets{}right-brackets {} {}",
    }
    (tmp_path / "p.json").write_text(json.dumps(document), encoding="utf-8")
    template = PromptTemplate.load(tmp_path / "p.json")
    message = template.message("q", ["a"], 0)
    turns = [(turn.role, turn.text) for turn in message.before]
    assert turns == [
        ("system", "Be strict."),
        ("user", "Q1"),
        ("assistant", "A1"),
        ("user", "Q2"),
        ("assistant", "A2"),
    ]
    assert message.text == f"{{q}} {NO_PREVIOUS_STEPS} Step 1: a"
    assert PromptTemplate.parse(template.source) == template


def test_a_system_message_can_be_set() -> None:
    plain = PromptTemplate.parse(BRACES).with_system("Be strict.")
    assert plain.before == (Turn("system", "Be strict."),)
    assert plain.with_system("Be kind.").before == (Turn("system", "Be kind."),)
    assert plain.render("q", ["a"], 0) == PromptTemplate.parse(BRACES).render("q", ["a"], 0)
    framed = PromptTemplate.parse(CHATML).with_system("Be strict.")
    assert framed.source == CHATML.replace(SYSTEM, "Be strict.")
    assert framed.before == (Turn("system", "Be strict."),)
    none = PromptTemplate.parse("<|im_start|>user\n{} {} {}<|im_end|>\n<|im_start|>assistant\n").with_system("S")
    assert none.source.startswith("<|im_start|>system\nS<|im_end|>\n<|im_start|>user\n")
    with pytest.raises(ConfigError, match="no system message"):
        PromptTemplate.parse("[INST] {} {} {} [/INST]").with_system("S")
