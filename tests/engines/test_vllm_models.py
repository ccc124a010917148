"""Every scoring family as vLLM loads it: the body that vLLM has, the head that it has not, without an engine.

vLLM's model is built in this process and its attention is a plain one over a single text, so what an engine adds
(batches, caches, processes) is not here: `test_vllm_scoring.py` starts two of them, `benchmarks.engine_parity` all.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rprm_jobs.judge.families.scoring import Head, ScoreFamily
from rprm_jobs.judge.families.table import ROWS
from rprm_jobs.judge.resolve import resolve_judge
from tests.support.score_models import BY_FAMILY, PROBLEM, SOLUTIONS, build_folder
from tests.support.score_reference import Reference
from tests.support.vllm_model import VllmModel, one_process
from workers.engines import create_engine
from workers.engines.vllm.scorer import VllmScorer

pytest.importorskip("vllm", reason="vLLM is not installed")
pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    # What vLLM and torch deprecate among themselves.
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning"),
    pytest.mark.filterwarnings(r"ignore::FutureWarning"),
    pytest.mark.filterwarnings(r"ignore::UserWarning"),
]
SCORING = [row.family for row in ROWS if isinstance(row.family, ScoreFamily)]
LOADED = [family.name for family in SCORING if family.head is not Head.LOG_RATIO]


@pytest.fixture(scope="module")
def _one_process() -> Iterator[None]:
    with one_process():
        yield


@pytest.mark.usefixtures("_one_process")
@pytest.mark.parametrize("name", LOADED)
def test_the_model_scores_as_the_published_code(tmp_path: Path, name: str) -> None:
    folder = build_folder(tmp_path, BY_FAMILY[name], seed=1)
    judge = resolve_judge(str(folder))
    scorer = create_engine("vllm", judge, {})
    assert isinstance(scorer, VllmScorer)
    assert isinstance(judge.family, ScoreFamily)
    model, reference = VllmModel(scorer, judge.family), Reference(folder)
    for steps in SOLUTIONS.values():
        assert model.rewards(PROBLEM, steps) == pytest.approx(reference.rewards(name, PROBLEM, steps), abs=1e-4)
