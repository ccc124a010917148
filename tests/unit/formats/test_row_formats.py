"""Every row format: its own sample is recognised and read, and no shuffled, missing or mistyped field ever raises."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rprm_jobs.errors import BadLine, ConfigError
from rprm_jobs.formats import IdRule, InputRow, ReadOptions, ReadReport, read_solutions
from rprm_jobs.formats.readers.problems import read_problem_rows
from rprm_jobs.formats.readers.reading import RawRow, solutions_of
from rprm_jobs.formats.readers.row_formats.messages import unframed_problem
from rprm_jobs.formats.readers.row_formats.protocol import ReadContext
from rprm_jobs.formats.readers.row_formats.table import FORMATS
from rprm_jobs.formats.splitters import make_splitting
from rprm_jobs.settings import Limits
from tests.support.row_samples import SAMPLES, SOLUTION, Expected

ALL = [(name, row, expected) for name, samples in SAMPLES.items() for row, expected in samples]
REQUEST = {
    "custom_id": "c",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"messages": [{"role": "user", "content": "P?"}]},
}


def write(folder: Path, *rows: Any, name: str = "x") -> str:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def read(folder: Path, *rows: Any, **options: Any) -> tuple[list[InputRow | BadLine], ReadReport]:
    report = ReadReport()
    path = write(folder, *rows)
    join = write(folder, REQUEST, name="join")
    return list(read_solutions([path], ReadOptions(join=join, **options), Limits(), report)), report


def as_expected(results: list[InputRow | BadLine]) -> Expected:
    assert not [bad for bad in results if isinstance(bad, BadLine)]
    solutions = [row.solution for row in results if isinstance(row, InputRow)]
    assert {solution.problem for solution in solutions} <= {"P?"}
    return [
        (s.id.replace("x.jsonl", "x"), list(s.steps), s.label, None if s.step_labels is None else list(s.step_labels))
        for s in solutions
    ]


def test_every_format_has_a_sample_and_a_line_in_the_documents() -> None:
    text = (Path(__file__).parents[3] / "docs" / "formats.md").read_text()
    assert {*SAMPLES, "verl-dataset"} == set(FORMATS)
    assert [name for name in FORMATS if f"| `{name}` |" not in text] == []


@pytest.mark.parametrize(("name", "row", "expected"), ALL)
def test_a_sample_is_recognised_and_read(tmp_path: Path, name: str, row: dict[str, Any], expected: Expected) -> None:
    results, report = read(tmp_path, row)
    assert as_expected(results) == expected
    (by_name,) = report.files.values()
    assert list(by_name) == [name]
    assert (sum(report.left_out.values()) > 0) == (not expected or (name == "distilabel" and len(expected) == 2))
    assert as_expected(read(tmp_path, row, format=name)[0]) == expected


@pytest.mark.parametrize("name", SAMPLES)
def test_a_row_without_what_is_needed_is_refused_with_all_that_is_missing(tmp_path: Path, name: str) -> None:
    (bad,), _ = read(tmp_path, {"nothing": 1}, format=name)
    assert isinstance(bad, BadLine)
    assert bad.reason.startswith(f"no row of {name}: missing: ")


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "+", "P?", SOLUTION]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["role", "content", "text", "steps", "message"]), inner, max_size=2)
    ),
    max_leaves=4,
)


def damaged(value: Any, draw: Any) -> Any:
    """The value with fields dropped, shuffled and replaced by others, at any depth."""
    if draw(st.integers(0, 9)) == 0:
        return draw(junk)
    if isinstance(value, dict):
        names = draw(st.permutations(list(value)))
        return {name: damaged(value[name], draw) for name in names if draw(st.integers(0, 9))}
    if isinstance(value, list):
        return [damaged(item, draw) for item in value if draw(st.integers(0, 9))]
    return value


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.data())
def test_no_damage_to_a_row_raises_anything(tmp_path: Path, data: st.DataObject) -> None:
    name, row, _ = data.draw(st.sampled_from(ALL))
    broken = damaged(row, data.draw)
    join = str(tmp_path / "join.jsonl")
    if not Path(join).exists():
        write(tmp_path, REQUEST, name="join")
    for options in ({}, {"format": name}, {"splitting": make_splitting("sentences", part="response")}):
        raw = RawRow("x.jsonl", 1, copy.deepcopy(broken))
        for result in solutions_of([raw], ReadOptions(join=join, **options), Limits(), ReadReport()):
            assert isinstance(result, InputRow) or result.reason
        assert raw.value == broken


def test_ids_from_lines_from_content_and_numbered(tmp_path: Path) -> None:
    rows = [
        {"problem": "P?", "solution": "One."},
        {"problem": "P?", "solution": "Two."},
        {"id": "a", "problem": "P?", "steps": ["x"]},
    ]
    by_line = [row.solution.id for row in read(tmp_path, *rows)[0] if isinstance(row, InputRow)]
    assert by_line == ["x.jsonl:1", "x.jsonl:2", "a"]
    by_content = [row.solution.id for row in read(tmp_path, *rows, ids=IdRule.CONTENT)[0] if isinstance(row, InputRow)]
    assert len(set(by_content)) == 3
    assert by_content[2] == "a"
    again = [
        row.solution.id for row in read(tmp_path, rows[1], rows[0], ids=IdRule.CONTENT)[0] if isinstance(row, InputRow)
    ]
    assert again == by_content[1::-1]
    numbered = [
        row.solution.id for row in read(tmp_path, rows[2], rows[2], ids=IdRule.ROLLOUT)[0] if isinstance(row, InputRow)
    ]
    assert numbered == ["a#0", "a#1"]


def test_rollouts_of_one_example_are_numbered(tmp_path: Path) -> None:
    row = {"prompt": "P?", "completion": SOLUTION, "reward": 0.0}
    results, _ = read(tmp_path, *({**row, "example_id": n} for n in (0, 1, 0, 0)))
    assert [row.solution.id for row in results if isinstance(row, InputRow)] == ["0#0", "1#0", "0#1", "0#2"]


def test_only_the_first_filter_of_lm_eval_is_read(tmp_path: Path) -> None:
    row = {"doc_id": 5, "doc": {"question": "P?"}, "resps": [[SOLUTION]], "filter": "strict"}
    results, report = read(tmp_path, row, {**row, "filter": "flexible"})
    assert len(results) == 1
    assert report.left_out == {"rows of a further filter": 1}


@pytest.mark.parametrize(
    ("row", "join", "reason"),
    [
        ({"custom_id": "c", "response": {"body": {}}}, False, "name the batch's input file with --join"),
        ({"custom_id": "d", "response": {"body": {}}}, True, "custom_id 'd' is not in the file that --join names"),
        ({"custom_id": "c", "response": {"body": {}}}, True, "response.body has no choices and no output"),
    ],
)
def test_a_batch_that_cannot_be_joined(tmp_path: Path, row: dict[str, Any], join: bool, reason: str) -> None:
    path, requests = write(tmp_path, row), write(tmp_path, REQUEST, name="join")
    (bad,) = read_solutions([path], ReadOptions(join=requests if join else None), Limits())
    assert isinstance(bad, BadLine)
    assert reason in bad.reason


def test_a_join_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--join: the row is no batch request"):
        list(
            read_solutions([write(tmp_path, REQUEST)], ReadOptions(join=write(tmp_path, {"a": 1}, name="j")), Limits())
        )


MISMATCHES = [
    (
        "math-shepherd",
        {"input": "P? Step 1: One. \u043a\u0438", "label": "P? Step 1: Other. +"},
        "input and label differ in step 1",
    ),
    ("math-shepherd", {"input": "P? Step 1: One.", "label": "+"}, "input lacks the tag"),
    (
        "rlhflow",
        {"conversations": [{"role": "user", "content": "P? One."}, {"role": "assistant", "content": "+"}]},
        "no 'Step 1:'",
    ),
    (
        "deltabench",
        {"question": "P?", "sections": ["a"], "reason_error_section_numbers": [2]},
        "section 2 is named as wrong, and there are 1",
    ),
    ("trl-stepwise", {"prompt": "P?", "completions": ["a"], "labels": [0.5]}, "labels: entry 1 is 0.5"),
    (
        "ms-swift",
        {"prompt": ["P?"], "completion": [], "step": ["1"]},
        "the lists do not match: 1 in prompt, 0 in completion",
    ),
    ("verl", {"input": 5, "output": "x", "score": 1, "step": 1}, "input is a number, not a text"),
]


@pytest.mark.parametrize(("name", "row", "reason"), MISMATCHES)
def test_rows_that_do_not_hold_together(tmp_path: Path, name: str, row: dict[str, Any], reason: str) -> None:
    (bad,), _ = read(tmp_path, row, format=name)
    assert isinstance(bad, BadLine)
    assert reason in bad.reason


def test_a_field_that_has_a_plain_name_is_kept_apart(tmp_path: Path) -> None:
    (row,), _ = read(tmp_path, {"prompt": "P?", "completion": SOLUTION, "solution": "a reference", "label": "x"})
    assert isinstance(row, InputRow)
    assert row.solution.metadata["metadata.solution"] == "a reference"
    assert row.solution.metadata["metadata.label"] == "x"


FRAMES = [
    "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n<think>\n",
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "<bos><start_of_turn>user\n{}<end_of_turn>\n<start_of_turn>model\n",
    "<\uff5cbegin\u2581of\u2581sentence\uff5c><\uff5cUser\uff5c>{}<\uff5cAssistant\uff5c><think>\n",
    "<s>[INST] {} [/INST]",
    "<|user|>\n{}<|end|>\n<|assistant|>\n",
    "<|start|>system<|message|>s<|end|><|start|>user<|message|>{}<|end|><|start|>assistant",
    # Decoded without special tokens.
    "system\ns\nuser\n{}\nassistant\n",
    "user\n{}\nmodel\n",
    "system\n\nCutting Knowledge Date: December 2023\n\nuser\n\n{}assistant\n\n",
]


@pytest.mark.parametrize("frame", FRAMES)
def test_a_problem_comes_out_of_its_templates_frame(frame: str) -> None:
    context = ReadContext()
    for problem in ("P?", "Who is the user here?\n\nThe assistant asks."):
        assert unframed_problem(frame.format(problem), context) == problem
        assert unframed_problem(problem, context) == problem
    assert context.notes.total() == 2


def test_rollouts_without_a_text_are_left_out_and_own_rows_are_refused(tmp_path: Path) -> None:
    empty = {"input": "P?", "output": " \n", "score": 0, "step": 1}
    results, report = read(tmp_path, empty, {"problem": "P?", "solution": ""})
    assert [row.reason for row in results if isinstance(row, BadLine)] == ["field solution is empty"]
    assert report.left_out == {"rollouts without a text": 1}
    thought = {
        "messages": [{"role": "user", "content": "P?"}, {"role": "assistant", "content": "", "reasoning": "Hm."}]
    }
    assert not read(tmp_path, thought)[0]
    (row,), _ = read(tmp_path, thought, splitting=make_splitting(part="thinking"))
    assert isinstance(row, InputRow)
    assert row.solution.steps == ("Hm.",)


def test_reasoning_that_came_apart_is_judged_only_when_asked_for(tmp_path: Path) -> None:
    message = {"role": "assistant", "content": SOLUTION, "reasoning_content": "Hm."}
    row = {"messages": [{"role": "user", "content": "P?"}, message]}
    for part, steps in ((None, ("One.", "Two.")), ("thinking", ("Hm.",)), ("all", ("Hm.", "One.", "Two."))):
        (result,), _ = read(tmp_path, row, splitting=make_splitting(part=part))
        assert isinstance(result, InputRow)
        assert result.solution.steps == steps
        assert ("reasoning" in result.solution.metadata) == (part is None)


def test_offsets_lead_into_the_original_text(tmp_path: Path) -> None:
    text = "  One, that is long.\n\n  Two.\n"
    (row,), _ = read(tmp_path, {"problem": "P?", "solution": text, "step_offsets": "its own"})
    assert isinstance(row, InputRow)
    assert [text[a:b] for a, b in row.solution.metadata["step_offsets"]] == list(row.solution.steps)
    assert row.solution.metadata["metadata.step_offsets"] == "its own"


def test_the_report_says_what_was_recognised_made_and_cut(tmp_path: Path) -> None:
    rows = [{"input": "P?", "output": "<think>a</think>b", "score": 1, "step": 2}, {"problem": "P?", "steps": ["x"]}]
    _, report = read(tmp_path, *rows, step_separator="|")
    lines = list(report.lines())
    assert lines[0].startswith(
        "read as verl (verl's dumps of rollouts and of validation) by input, output, score, step: 1 row"
    )
    assert "2 rows had no id and got one made of file and line" in lines
    assert any(line.startswith("1 text cut into steps by separator '|'") for line in lines)
    assert any("1 hold a <think> trace" in line for line in lines)
    stored = report.to_builtins()
    assert stored["splitter"] == {"name": "separator:|", "version": 2}
    (formats,) = stored["formats"].values()
    assert formats["verl"] == {"fields": ["input", "output", "score", "step"], "rows": 1}


def test_a_separator_that_never_occurs_is_reported(tmp_path: Path) -> None:
    _, report = read(tmp_path, {"problem": "P?", "solution": "a\nb"}, step_separator="###")
    assert any("cut none of them" in line for line in report.lines())


def test_problems_are_read_from_verls_data(tmp_path: Path) -> None:
    row = {
        "data_source": "gsm8k",
        "prompt": [{"role": "user", "content": "P?"}],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": "4"},
        "extra_info": {"split": "train", "index": 7},
    }
    (problem,) = read_problem_rows([write(tmp_path, row)], Limits())
    assert not isinstance(problem, BadLine)
    assert (problem.id, problem.problem, problem.metadata["answer"]) == ("gsm8k/7", "P?", "4")
