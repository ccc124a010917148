"""Tables lose nothing and wrap nothing: in a pipe a row is a line, in 80 columns long texts stand below their row."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm_jobs.cli.shared.tables import Table, cell_width, cut_list, folded, reward_glyph
from tests.support.terminal import run_program_in_terminal

LONG = "/data/" + "very/" * 20 + "long.jsonl"


def jobs_table() -> Table:
    table = Table(("job", "state", "done", "from"), left=("state",), below=("from",))
    table.add_row("1", "done", "20/20", "a.jsonl")
    table.add_row("12", "running", "1,000/2,000", LONG)
    return table


def test_a_table_that_fits_is_one_line_a_row() -> None:
    table = Table(("job", "state", "done"), left=("state",))
    table.add_row("1", "done", "20/20")
    table.add_row("12", "running", "3/2,000")
    assert list(table.lines(80)) == ["job  state       done", "1    done       20/20", "12   running  3/2,000"]


def test_in_a_pipe_every_row_is_one_line() -> None:
    lines = list(jobs_table().lines(None))
    assert len(lines) == 3
    assert lines[2].endswith(LONG)


def test_long_texts_stand_below_their_row_and_lose_nothing() -> None:
    lines = list(jobs_table().lines(40))
    assert lines[0] == "job  state           done"
    assert lines[1:3] == ["1    done           20/20", "    from a.jsonl"]
    assert "".join(line.strip() for line in lines[4:]) == f"from{LONG}"
    assert max(map(cell_width, lines)) <= 40


def test_too_many_columns_stand_in_blocks_that_each_name_the_row() -> None:
    table = Table(("pick", *(f"N={n}" for n in range(30))))
    table.add_row("majority weighted by mean", *(f"{n / 100:.3f}" for n in range(30)))
    lines = list(table.lines(80))
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith("majority") for line in lines) == lines.count("") + 1 > 1
    assert [word for line in lines for word in line.split() if word.startswith("N=")] == [f"N={n}" for n in range(30)]


texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Co", "Cn", "Cf")), max_size=60)


@given(st.lists(st.tuples(texts, texts, texts), max_size=5), st.integers(30, 120))
def test_no_text_is_lost_at_any_width(rows: list[tuple[str, str, str]], width: int) -> None:
    table = Table(("a", "b", "c"), below=("b", "c"))
    for row in rows:
        table.add_row(*row)
    shown = "".join("".join(table.lines(width)).split())
    for row in table.rows:
        for cell in row:
            for word in cell.split():
                assert word in shown


@given(texts, st.integers(20, 100))
def test_folded_text_stays_within_its_width(text: str, width: int) -> None:
    lines = list(folded(text, width))
    assert all(cell_width(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_a_long_list_is_cut_with_its_count() -> None:
    assert cut_list([1, 2, 3], 3) == "1, 2, 3"
    assert cut_list(range(1, 2001), 3) == "1, 2, 3 and 1,997 more"


def test_a_reward_is_one_glyph_and_a_digit_where_the_output_has_no_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    rewards = (0.0, 0.5, 1.0, None)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    assert [reward_glyph(reward) for reward in rewards] == ["▁", "▅", "█", "-"]
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert [reward_glyph(reward) for reward in rewards] == ["0", "5", "9", "-"]


def demo_code(steps: int, numbers: bool = False) -> str:
    row = {"id": "gsm8k-0", "rewards": [0.9] * (steps - 1) + [0.1], "first_error": steps - 1, "label": 1}
    row |= {"status": "ok", "problem": "p", "steps": ["x"] * steps}
    row["critiques"] = [[{"k": 0, "verdict": "no", "p_yes": 0.1, "text": "why"}]] * steps
    return f"from rprm_jobs.cli.demo import _show; _show([{row!r}], 0.5, numbers={numbers})"


@pytest.mark.parametrize(
    ("steps", "numbers", "shown"),
    [(3, False, "0.90 0.90 0.10"), (30, False, "▇" * 29 + "▂"), (500, False, "▇" * 38 + " +462"),
     (30, True, "0.90 0.90 0.90 0.90 0.90 0.90 0.90  +23")],
)  # fmt: skip
def test_rewards_in_80_columns_are_numbers_bars_or_cut_with_a_count(
    steps: int, numbers: bool, shown: str, tmp_path: Path
) -> None:
    env = {"PATH": "", "PYTHONPATH": ":".join(sys.path)}
    code = demo_code(steps, numbers)
    screen = run_program_in_terminal([sys.executable, "-c", code], env, tmp_path)
    assert screen.returncode == 0
    (line,) = [line for line in screen.lines if line.startswith("gsm8k-0  ")]
    assert f"gsm8k-0   {shown} " in line
    assert f"step {steps}" in line
    assert max(map(cell_width, screen.lines)) <= 80
    assert "\x1b[" in screen.raw
    plain = run_program_in_terminal(["/usr/bin/env", "NO_COLOR=1", sys.executable, "-c", code], env, tmp_path)
    assert "\x1b[3" not in plain.raw
