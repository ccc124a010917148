"""Every judge of the published tables by its hub's name: which family it is, and that this family's jobs are tested."""

from __future__ import annotations

import pytest

from rprm_jobs.judge.families.family import Unit
from rprm_jobs.judge.families.scoring import Head, ScoreFamily
from rprm_jobs.judge.families.table import FAMILIES, recognise
from tests.integration.services import test_family_jobs
from tests.integration.workers import test_scoring_jobs

QWEN, LLAMA, MISTRAL = "Qwen2ForCausalLM", "LlamaForCausalLM", "MistralForCausalLM"
TWO_CLASS, TOKENS = "Qwen2ForProcessRewardModel", "Qwen2ForTokenClassification"
# By the shape of what an engine does, from critiques of single steps (A) to chains over a prefix (I).
JUDGES: dict[str, list[tuple[str, str, str]]] = {
    "A": [("kevinpro/R-PRM-7B-SFT", QWEN, "rprm"), ("kevinpro/R-PRM-7B-DPO", QWEN, "rprm")],
    "B": [
        ("Qwen/Qwen2.5-Math-PRM-7B", TWO_CLASS, "qwen-prm"),
        ("Qwen/Qwen2.5-Math-PRM-72B", TWO_CLASS, "qwen-prm"),
        ("Qwen/Qwen2.5-Math-7B-PRM800K", TWO_CLASS, "qwen-prm"),
        ("jinachris/PURE-PRM-7B", TOKENS, "pure-prm"),
        ("jinachris/Qwen2.5-Math-7B-PRM800K", TOKENS, "pure-prm"),
        ("infly/Universal-PRM-7B", TWO_CLASS, "universal-prm"),
        ("universalprm/Universal-PRM", "Qwen2ForRewardModel", "universal-prm"),
        ("Gen-Verse/ReasonFlux-PRM-7B", TWO_CLASS, "reasonflux-prm"),
        ("sail/ActPRM", "Qwen2ForEnsemblePRM", "act-prm"),
        ("sail/ActPRM-X", "Qwen2ForEnsemblePRM", "act-prm"),
    ],
    "C": [
        ("peiyi9979/math-shepherd-mistral-7b-prm", MISTRAL, "math-shepherd"),
        ("RLHFlow/Llama3.1-8B-PRM-Mistral-Data", LLAMA, "rlhflow-prm"),
        ("RLHFlow/Llama3.1-8B-PRM-Deepseek-Data", LLAMA, "rlhflow-prm"),
        ("openreasoner/Math-psa", QWEN, "math-psa"),
        ("UW-Madison-Lee-Lab/VersaPRM", LLAMA, "versa-prm"),
        ("UW-Madison-Lee-Lab/Llama-PRM800K", LLAMA, "versa-prm"),
        ("UW-Madison-Lee-Lab/Qwen-PRM800K", QWEN, "versa-prm"),
        ("pcmoritz/llama3.1-math-prm", LLAMA, "er-prm"),
    ],
    "D": [
        ("Skywork/Skywork-o1-Open-PRM-Qwen-2.5-1.5B", "Qwen2ForPrmModel", "skywork-prm"),
        ("Skywork/Skywork-o1-Open-PRM-Qwen-2.5-7B", QWEN, "skywork-prm"),
        ("Windy0822/PQM", QWEN, "pqm"),
    ],
    "E": [
        ("ScalableMath/llemma-7b-prm-prm800k-level-1to3-hf", LLAMA, "llemma-prm"),
        ("GAIR/ReasonEval-7B", "ReasonEval_7B", "reason-eval"),
        ("GAIR/ReasonEval-34B", "ReasonEval_34B", "reason-eval-34b"),
        ("KbsdJames/minos_mistral", "MistralForTokenClassification", "math-minos"),
    ],
    "F": [("PRIME-RL/EurusPRM-Stage1", QWEN, "eurus-prm"), ("PRIME-RL/EurusPRM-Stage2", QWEN, "eurus-prm")],
    "H": [("GenPRM/GenPRM-1.5B", QWEN, "genprm"), ("GenPRM/GenPRM-32B", QWEN, "genprm")],
    "I": [("launch/ThinkPRM-1.5B", QWEN, "thinkprm"), ("launch/ThinkPRM-14B", QWEN, "thinkprm")],
}
# Any language model can be such a critic, and GenPRM be let run its code: these are named with --family.
NAMED = {"critic", "critic-scores", "genprm-code"}
# Its folder is called as another judge's is, so there --family has to say it.
NAMESAKE = "jinachris/Qwen2.5-Math-7B-PRM800K"
ALL = [pytest.param(*judge, id=judge[0]) for judges in JUDGES.values() for judge in judges]


@pytest.mark.parametrize(("name", "architecture", "family"), ALL)
def test_a_published_judge_is_recognised(name: str, architecture: str, family: str) -> None:
    found = recognise(name, [architecture])
    assert (found.name if found is not None else "rprm") == family
    if name != NAMESAKE:
        folder = recognise(name.partition("/")[2], [architecture])
        assert (folder.name if folder is not None else "rprm") == family


def test_every_family_is_judged_from_submit_to_results() -> None:
    """Both tests take their families from the table; one of a kind that neither works off is missing here."""
    tested = {*test_scoring_jobs.SCORING, *test_family_jobs.FAMILIES}
    assert tested == set(FAMILIES)
    assert {family for judges in JUDGES.values() for *_, family in judges} | NAMED == set(FAMILIES)


def test_every_shape_has_the_engine_calls_that_it_says() -> None:
    """B to F are one pass over a solution, and A, G, H and I write: of a step, a solution, each step, each prefix."""
    for shape, judges in JUDGES.items():
        for *_, name in judges:
            family = FAMILIES[name].family
            assert isinstance(family, ScoreFamily) == (shape in "BCDEF")
    heads = {"C": {Head.VOCABULARY}, "D": {Head.VALUE}, "F": {Head.LOG_RATIO}, "B": {Head.CLASSES, Head.ENSEMBLE}}
    for shape, expected in heads.items():
        families = [FAMILIES[name].family for *_, name in JUDGES[shape]]
        assert {family.head for family in families if isinstance(family, ScoreFamily)} == expected
    units = {"rprm": Unit.STEP, "critic": Unit.SOLUTION, "genprm": Unit.STEP, "thinkprm": Unit.PREFIX}
    assert {name: FAMILIES[name].family.unit for name in units} == units
