"""Foreign text: seeded, of every length and alphabet, critiqued in words that the judge has, with even verdicts."""

from __future__ import annotations

import random
from itertools import islice

from rprm_jobs.judge.verdict import read_verdict
from rprm_jobs.types import Finish, Verdict
from training.foreign import draw_foreign, foreign_critique
from training.splits import CLOSING_SEED, SEEDS, TRAINING_SEED, training_stream
from training.teacher import critique
from training.tiny_base import closing_recipe, closing_records


def test_a_seed_is_a_text() -> None:
    assert [draw_foreign(random.Random(5)) for _ in range(2)] == [draw_foreign(random.Random(5))] * 2
    assert draw_foreign(random.Random(5)) != draw_foreign(random.Random(6))


def test_texts_are_of_many_kinds_and_no_part_is_empty() -> None:
    rng = random.Random(1)
    drawn = [draw_foreign(rng) for _ in range(300)]
    parts = [part for each in drawn for part in (each.problem, *each.steps)]
    assert all(part.strip() for part in parts)
    assert all(0 <= each.index < len(each.steps) for each in drawn)
    assert {len(each.steps) for each in drawn} == set(range(1, 10))
    assert any(not part.isascii() for part in parts)
    assert any("\\frac" in part for part in parts)
    assert max(map(len, parts)) > 10 * min(map(len, parts))


def test_critiques_end_in_an_even_verdict_in_the_words_of_the_world() -> None:
    rng = random.Random(2)
    made = [foreign_critique(rng) for _ in range(1000)]
    verdicts = [read_verdict(text, Finish.STOP) for text in made]
    assert set(verdicts) == {Verdict.YES, Verdict.NO}
    assert 450 < verdicts.count(Verdict.YES) < 550
    taught = [critique(one.solution, one.index) for one in islice(training_stream(3), 200)]
    assert set(made) <= {text.splitlines()[-1] for text in taught}


def test_the_closing_stage_shows_both_worlds_the_same_at_every_call() -> None:
    records = list(islice(closing_records(CLOSING_SEED), 400))
    assert records == list(islice(closing_records(CLOSING_SEED), 400))
    foreign = [record for record in records if record["completion"].startswith("Verification")]
    assert 0.05 < len(foreign) / len(records) < 0.25


def test_its_examples_are_none_of_the_first_stage_and_none_that_measure() -> None:
    assert CLOSING_SEED not in {TRAINING_SEED, *SEEDS.values()}
    assert closing_recipe().seed == CLOSING_SEED
    assert closing_recipe(8).warmup <= 8
