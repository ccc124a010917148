"""The rows of a solution: every step and critique accounted for, and a seeded order that others can repeat."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rprm_jobs.pairs.labels import Neutral
from rprm_jobs.pairs.rows import JudgedSolution, SelectionCounts, TrainingRow, problem_draw, rows_of
from rprm_jobs.pairs.rules import PairRule, PairRules, Rules, SftRules
from rprm_jobs.pairs.summary import CritiqueSummary, VerdictForm
from tests.support.critiques import T, reading, readings

READING = st.builds(reading, st.sampled_from(list(VerdictForm)), st.integers(1, 300), st.integers(0, 9))
STEP = st.one_of(st.none(), st.lists(READING, max_size=6))


@st.composite
def judged(draw: st.DrawFn) -> JudgedSolution:
    n = draw(st.integers(1, 5))
    label = draw(st.one_of(st.none(), st.integers(-1, n - 1)))
    ratings = draw(st.one_of(st.none(), st.lists(st.sampled_from([1, 0, -1, None]), min_size=n, max_size=n)))
    groups = draw(st.one_of(st.none(), st.lists(STEP, min_size=n, max_size=n)))
    return JudgedSolution(3, "s", "How many?", n, label, ratings, groups)


RULES: st.SearchStrategy[Rules] = st.one_of(
    st.builds(SftRules, neutral=st.sampled_from(list(Neutral))),
    st.builds(PairRules, rule=st.sampled_from(list(PairRule)), neutral=st.sampled_from(list(Neutral))),
)


@given(judged(), RULES)
def test_every_step_and_every_critique_of_a_labelled_step_is_counted_once(one: JudgedSolution, rules: Rules) -> None:
    tally = SelectionCounts()
    rows = list(rows_of(one, rules, tally))
    assert tally.steps.total() == one.n_steps
    used = {row.step for row in rows}
    assert tally.steps["used"] == len(used)
    left_out = {"no label", "neutral, left out", "not judged", "texts not kept"}
    n_read = sum(count for step, count in tally.steps.items() if step not in left_out)
    groups = [g for g in one.readings or () if g]
    assert n_read <= len(groups)
    assert tally.critiques.total() <= sum(map(len, groups))
    assert tally.labels.total() == one.n_steps - tally.steps["no label"] - tally.steps["neutral, left out"]
    for row in rows:
        group = (one.readings or [])[row.step] or []
        assert group[row.chosen].form == (VerdictForm.YES if row.correct else VerdictForm.NO)
        if row.rejected is not None:
            against = (
                {VerdictForm.NO, VerdictForm.NO_AND_MORE}
                if row.correct
                else {VerdictForm.YES, VerdictForm.YES_AND_MORE}
            )
            assert group[row.rejected].form in against
        assert (row.rejected is None) == isinstance(rules, SftRules)


@given(judged(), RULES)
def test_equal_seeds_give_equal_rows_and_digests(one: JudgedSolution, rules: Rules) -> None:
    tallies = SelectionCounts(), SelectionCounts()
    first, second = (list(rows_of(one, rules, tally)) for tally in tallies)
    assert first == second
    assert tallies[0].digest == tallies[1].digest


def solution(group: list[CritiqueSummary], *, id_: str = "s", problem: str = "p", label: int = -1) -> JudgedSolution:
    return JudgedSolution(0, id_, problem, 1, label, None, [group])


def rows(one: JudgedSolution, rules: Rules) -> list[TrainingRow]:
    return list(rows_of(one, rules, SelectionCounts()))


def test_the_order_follows_from_seed_and_solution_alone() -> None:
    group = readings(*T)
    rules = PairRules(rule=PairRule.ALL)
    base = rows(solution(group), rules)
    assert len({row.draw for row in base}) == 12
    assert [r.draw for r in rows(solution(group), PairRules(rule=PairRule.ALL, seed=43))] != [r.draw for r in base]
    assert [r.draw for r in rows(solution(group, id_="t"), rules)] != [r.draw for r in base]
    elsewhere = [
        r._replace(ord=0) for r in rows_of(JudgedSolution(9, "s", "p", 1, -1, None, [group]), rules, SelectionCounts())
    ]
    assert elsewhere == base


def test_the_digest_sees_the_texts() -> None:
    rules = PairRules(rule=PairRule.ALL)
    tallies = []
    for last in (T[3], T[3].replace("A3", "B3")):
        tallies.append(SelectionCounts())
        list(rows_of(solution(readings(T[0], last)), rules, tallies[-1]))
    assert tallies[0].digest != tallies[1].digest


def test_a_problem_is_one_whatever_its_white_space() -> None:
    assert problem_draw(1, "How  many\n are there? ") == problem_draw(1, "How many are there?")
    assert problem_draw(1, "How many") != problem_draw(2, "How many")
    draws = {problem_draw(42, f"problem {i}") for i in range(1000)}
    assert len(draws) == 1000
    assert 300 < sum(draw < 0 for draw in draws) < 700


def test_neutral_steps_follow_the_rule() -> None:
    one = JudgedSolution(0, "s", "p", 2, None, [0, -1], [readings(T[0], T[3])] * 2)
    found = {}
    for neutral in Neutral:
        tally = SelectionCounts()
        found[neutral] = [(row.step, row.correct) for row in rows_of(one, PairRules(neutral=neutral), tally)]
        assert tally.steps["neutral, left out"] == (neutral is Neutral.SKIP)
    assert found == {
        Neutral.CORRECT: [(0, True), (1, False)],
        Neutral.WRONG: [(0, False), (1, False)],
        Neutral.SKIP: [(1, False)],
    }


def test_steps_without_texts_or_outcome_are_told_apart() -> None:
    tally = SelectionCounts()
    one = JudgedSolution(0, "s", "p", 4, None, [1, 1, 1, None], [None, [], readings(*T), readings(*T)])
    kept = list(rows_of(one, SftRules(), tally))
    assert [row.step for row in kept] == [2] * 4
    assert dict(tally.steps) == {"texts not kept": 1, "not judged": 1, "used": 1, "no label": 1}
    assert tally.labels == {"correct": 3}
    nothing = SelectionCounts()
    assert list(rows_of(JudgedSolution(0, "s", "p", 3, 1, None, None), SftRules(), nothing)) == []
    assert dict(nothing.steps) == {"not judged": 2, "no label": 1}
