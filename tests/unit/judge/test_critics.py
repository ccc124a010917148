"""Critics of whole solutions: both benchmarks' protocols against plain code, and votes that are decided."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections import Counter

import pytest

from rprm_jobs.errors import ConfigError
from rprm_jobs.judge.families.critic import CRITIC, CRITIC_SCORES
from rprm_jobs.judge.families.genprm import GENPRM
from rprm_jobs.judge.families.thinkprm import THINKPRM
from rprm_jobs.judge.paragraphs import boxed_index, last_boxed, tag_paragraphs
from rprm_jobs.judge.prompt import PromptTemplate
from rprm_jobs.judge.ratings import read_ratings
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.judge.voting import fewest_to_decide, is_decided, opinions, winner
from rprm_jobs.services.jobs.submit import make_recipe
from rprm_jobs.types import Verdict


def reference_prediction(texts: list[str]) -> int | None:
    """ProcessBench's evaluation of n critiques, as its description says it."""
    boxes = [re.findall(r"\\boxed\{([^}]*)\}", text) for text in texts]
    answers = [box[-1] for box in boxes if box]
    if not answers:
        return None
    try:
        return int(Counter(answers).most_common(1)[0][0])
    except ValueError:
        return None


@pytest.mark.parametrize("seed", range(30))
def test_the_vote_is_processbenchs(seed: int) -> None:
    rng = random.Random(seed)
    pieces = [
        "\\boxed{0}",
        "\\boxed{1}",
        "\\boxed{-1}",
        "\\boxed{ 1}",
        "\\boxed{two}",
        "nothing",
        "\\boxed{0} \\boxed{2}",
    ]
    texts = [rng.choice(pieces) for _ in range(8)]
    assert boxed_index(winner([last_boxed(text) for text in texts]), 5) == reference_prediction(texts)


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("\\boxed{3}", 3), ("\\boxed{ -1 }", -1), ("\\boxed{4}", None), ("\\boxed{-2}", None), ("\\boxed{1.0}", None),
        ("\\boxed{}", None), ("\\boxed{\\text{2}}", None), ("1", None), ("\\boxed{1} then \\boxed{2}", 2),
        ("\\boxed{\u0663}", 3),
    ],
)  # fmt: skip
def test_what_names_no_paragraph_is_no_match(text: str, index: int | None) -> None:
    assert boxed_index(last_boxed(text), 4) == index


def test_paragraphs_are_tagged_from_zero() -> None:
    steps = ["one\n\ntwo", "</paragraph_0> <paragraph_1>", "ки <extra_0>"]
    assert tag_paragraphs(steps) == (
        "<paragraph_0>\none\n\ntwo\n</paragraph_0>\n\n<paragraph_1>\n</paragraph_0> <paragraph_1>\n</paragraph_1>\n\n"
        "<paragraph_2>\nки <extra_0>\n</paragraph_2>"
    )
    assert tag_paragraphs(["x"] * 60).count("</paragraph_") == 60


def never_changes(answers: list[str | None], left: int) -> bool:
    """Whether every completion has the same winner, by trying them all."""
    choices = [*{answer for answer in answers if answer is not None}, "new", None]
    winners = {winner([*answers, *more]) for more in itertools.product(choices, repeat=left)}
    return len(winners) == 1 and winners != {None} if left else True


@pytest.mark.parametrize("seed", range(40))
def test_a_vote_is_decided_when_no_completion_changes_it(seed: int) -> None:
    rng = random.Random(seed)
    answers = [rng.choice(["0", "1", "-1", None]) for _ in range(rng.randrange(6))]
    left = rng.randrange(5)
    assert is_decided(answers, left) is never_changes(answers, left)


def test_votes_are_asked_for_in_as_few_rounds_as_could_decide() -> None:
    assert fewest_to_decide([], 8) == 4  # the first seen wins ties
    assert fewest_to_decide(["1"] * 4, 4) == 0
    assert fewest_to_decide(["1", "2"], 6) == 3
    assert fewest_to_decide([None, None], 6) == 3
    assert fewest_to_decide([], 1) == 1
    assert fewest_to_decide([None], 0) == 0


def test_a_critique_says_nothing_of_what_follows_its_error() -> None:
    assert list(opinions(1, 4)) == [(0, Verdict.YES), (1, Verdict.NO)]
    assert list(opinions(-1, 2)) == [(0, Verdict.YES), (1, Verdict.YES)]


@pytest.mark.parametrize(
    ("text", "validity"),
    [
        ('{"validity": [0.5, -1], "redundancy": [0, 1]}', (0.5, -1.0)),
        ('```json\n{"validity": [1, 1]}\n```', (1.0, 1.0)),
        ('{"validity": [1]}', None),
        ('{"validity": [1, 1.5]}', None),
        ('{"validity": [true, 1]}', None),
        ('{"validity": [1, 1], "redundancy": [1]}', None),
        ('{"validity": [NaN, 1]}', None),
        ('{"validity": "0.5"}', None),
        ("{}{", None), ("[1, 2]", None), ("", None), ("{" * 100000 + "}", None),
    ],
)  # fmt: skip
def test_ratings_are_one_number_a_step_or_none_at_all(text: str, validity: tuple[float, ...] | None) -> None:
    ratings = read_ratings(text, 2)
    assert (ratings and ratings.validity) == validity


def test_a_critic_is_greedy_alone_and_voted_otherwise() -> None:
    judge = resolve_judge("scripted", "critic")
    greedy, voted = make_recipe(judge, k=None), make_recipe(judge, k=8)
    assert (greedy.k, greedy.sampling.temperature, greedy.sampling.max_new_tokens) == (1, 0.0, 8192)
    assert (voted.sampling.temperature, voted.sampling.top_p) == (1.0, 0.9)
    assert greedy.judge_family == CRITIC
    assert make_recipe(judge, k=1, temperature=0.3).sampling.temperature == 0.3
    assert len({make_recipe(resolve_judge("scripted", name), k=1).digest for name in ("critic", "critic-scores")}) == 2


def test_options_without_effect_are_refused() -> None:
    judge = resolve_judge("scripted", "critic")
    for options, words in [
        ({"stopping": {"kind": "adaptive"}}, "adaptive"),
        ({"until_first_error": True}, "until-first-error"),
        ({"template": PromptTemplate.default()}, "another family"),
    ]:
        with pytest.raises(ConfigError, match=words):
            make_recipe(judge, k=4, **options)
    with pytest.raises(ConfigError, match="every chat"):
        make_recipe(resolve_judge("scripted", "genprm"), k=2, stopping={"kind": "exact"})


def test_a_published_prompt_loads_with_its_own_fields() -> None:
    template = PromptTemplate.parse("[Math Problem]\n\n{problem}\n\n[Solution]\n\n{tagged_response}\n\nUse \\boxed{}.")
    assert CRITIC.fits(template)
    assert not GENPRM.fits(template)
    rendered = template.render("p {tagged_response}", ["a", "{problem}"], 1)
    assert rendered.startswith(
        "[Math Problem]\n\np {tagged_response}\n\n[Solution]\n\n<paragraph_0>\na\n</paragraph_0>"
    )
    assert rendered.endswith("<paragraph_1>\n{problem}\n</paragraph_1>\n\nUse \\boxed{}.")


def test_the_packages_prompts_have_their_families_fields() -> None:
    for family in (CRITIC, CRITIC_SCORES, GENPRM, THINKPRM):
        assert family.fits(PromptTemplate.shipped(family.prompt_name))
    shots = PromptTemplate.shipped("critic-scores.json").before
    assert [turn.role for turn in shots] == ["system", "user", "assistant", "user", "assistant"]
    for turn in shots[2::2]:
        ratings = json.loads(turn.text)
        assert read_ratings(turn.text, len(ratings["validity"])) is not None


def test_thinkprms_message_is_the_published_one() -> None:
    message = PromptTemplate.shipped("thinkprm").message("What?", ["a", "b", "c"], 1)
    assert message.text == (
        "You are given a math problem and a proposed step-by-step solution:\n\n[Math Problem]\n\nWhat?\n\n[Solution]\n\n"  # noqa: E501
        "Step 1: a\nStep 2: b\n\nReview and critique each step in the proposed solution to determine whether each step"
        " is correct. If the solution is incomplete, only verify the provided steps."
    )
