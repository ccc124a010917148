"""DPO straight from a set in Postgres: the rows stream out of the store into the trainer."""

from __future__ import annotations

from pathlib import Path

import pytest

from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.pairs.rules import PairRule, PairRules, SetKind
from rprm_jobs.services.context import Context
from rprm_jobs.store.session import Database
from rprm_jobs.types import Solution
from tests.support.critiques import T
from tests.support.judges import build_drilled_judge
from tests.support.training import build_set, with_texts
from training.folder import load_model, load_tokenizer
from training.preferences import train_dpo
from training.recipe import DpoRecipe
from training.source import from_set
from training.trainer import TrainingPlan

pytestmark = [pytest.mark.integration, pytest.mark.engine, pytest.mark.slow]


@pytest.mark.filterwarnings("default")
def test_a_set_streams_from_the_store_into_the_trainer(context: Context, database: Database, tmp_path: Path) -> None:
    solutions = [Solution(f"s-{i}", f"p {i}", ("one",), -1) for i in range(3)]
    job = with_texts(database, solutions, lambda *_: T)
    build_set(context, "some", job, PairRules(rule=PairRule.ALL, balance=False, validation=0.3))
    source = from_set(context, "some", SetKind.PAIRS)
    assert source.counts == {"train": 24, "validation": 12}
    rows = list(source.rows("train"))
    assert len(rows) == 24
    assert rows == list(source.rows("train"))
    judge = resolve_judge(str(build_drilled_judge(tmp_path / "drilled")))
    model, reference = (load_model(judge.location) for _ in range(2))
    recipe = DpoRecipe(batch=4, accumulation=2, learning_rate=1e-3, bf16=False, log_every=1)
    _, log = train_dpo(model, reference, load_tokenizer(judge), TrainingPlan(source, recipe, tmp_path / "checkpoints"))
    assert [entry["step"] for entry in log if "loss" in entry] == [1, 2, 3]
    assert any("eval_loss" in entry for entry in log)
