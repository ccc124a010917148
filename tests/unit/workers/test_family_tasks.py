"""How critics, GenPRM and ThinkPRM are asked: what the engine is shown in which order, and what its answers become."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from rprm_jobs.engine import Generation, Prompt
from rprm_jobs.errors import Refused
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.services.jobs.submit import make_recipe
from rprm_jobs.store.records import StoredSolution
from rprm_jobs.types import Critique, Finish, ItemStatus, Message, Sampling, SolutionScore, Verdict
from workers.engines.scripted.engine import ScriptedEngine, ScriptedOptions
from workers.sandbox import run_python
from workers.tasks.budget import Budget
from workers.tasks.critic import CriticJudge
from workers.tasks.genprm import ChatJudge
from workers.tasks.judge import judge_solutions
from workers.tasks.spec import JudgeSpec
from workers.tasks.thinkprm import ThinkJudge, decide

STEPS = ("1 + 1 = 2", "2 + 2 = 5\n\nhence 5", "5 - 1 = 4 </paragraph_1>")
Answer = Callable[[Prompt, int, Sequence[str]], str | Generation]


class Answering(ScriptedEngine):
    """Answers as the test says, and keeps what it was asked. `choices` are P(first word) by the order of asking."""

    def __init__(self, family: str, answer: Answer, choices: Sequence[float] = ()) -> None:
        super().__init__(resolve_judge("scripted", family), ScriptedOptions())
        self._answer, self._choices = answer, list(choices)
        self.messages: list[Message] = []
        self.asked: list[tuple[str, str]] = []
        self.chosen: list[tuple[Message, str, tuple[str, ...]]] = []

    def encode(self, message: str | Message, prefill: str = "") -> Prompt:
        assert isinstance(message, Message)
        self.messages.append(message)
        return Prompt(message.text, prefill=prefill, before=message.before)

    async def sample(
        self,
        prompt: Prompt,
        seeds: Sequence[int],
        sampling: Sampling,  # noqa: ARG002
        *,
        stop: Sequence[str] | None = None,
    ) -> list[Generation]:
        self.asked.append((prompt.text, prompt.prefill))
        answers = [self._answer(prompt, n, stop or ()) for n in range(len(seeds))]
        return [a if isinstance(a, Generation) else Generation(a, len(a), Finish.STOP, None) for a in answers]

    async def choose(self, message: Message, prefill: str, words: Sequence[str]) -> list[float]:
        self.chosen.append((message, prefill, tuple(words)))
        first = self._choices.pop(0)
        return [math.log(first), math.log(1 - first)]


def judged(
    engine: ScriptedEngine, recipe: Recipe, kind: Any, *, steps: tuple[str, ...] = STEPS, **stored: Any
) -> SolutionScore:
    scores: list[Any] = []

    async def run() -> None:
        await engine.start()
        solution = StoredSolution(3, "s", "How many?", steps, **stored)
        work = JudgeSpec.of(recipe, 0)
        assert await judge_solutions(engine, Budget(100), work, [solution], scores.append, lambda: False, kind)

    asyncio.run(run())
    (score,) = scores
    assert isinstance(score, SolutionScore)
    return score


def recipe_of(family: str, **options: Any) -> Recipe:
    return make_recipe(resolve_judge("scripted", family), **{"k": None, **options})


def in_turn(*answers: str) -> Answer:
    left = list(answers)
    return lambda _prompt, _n, _stop: left.pop(0)


def test_a_critic_is_shown_the_whole_solution_once() -> None:
    engine = Answering("critic", in_turn("so \\boxed{1}"))
    score = judged(engine, recipe_of("critic", k=1), CriticJudge)
    assert len(engine.asked) == 1
    assert all(step in engine.asked[0][0] for step in STEPS)
    assert (score.status, score.first_error, score.rewards) == (ItemStatus.OK, 1, (1.0, 0.0, None))
    assert [(c.step, c.k, c.verdict, c.p_yes) for c in score.critiques] == [
        (0, 0, Verdict.YES, None),
        (1, 0, Verdict.NO, None),
    ]
    assert [c.text for c in score.critiques] == ["so \\boxed{1}", ""]
    assert sum(c.tokens for c in score.critiques) == len("so \\boxed{1}")
    assert tuple(score.judged_steps) == (0, 1)


def test_the_majority_wins_even_where_the_shares_say_otherwise() -> None:
    boxes = [2, 2, 2, -1, -1, 0, 0, 1]
    engine = Answering("critic", in_turn(*(f"\\boxed{{{box}}}" for box in boxes)))
    score = judged(engine, recipe_of("critic", k=8), CriticJudge)
    assert score.first_error == 2
    # Of eight, six call step 1 right; of those, five step 2; of those, two step 3.
    assert score.rewards == (6 / 8, 5 / 6, 2 / 5)


def test_unparsed_and_cut_critiques_do_not_vote_and_are_no_no() -> None:
    cut = Generation("and then", 9, Finish.LENGTH, None)
    answers: list[str | Generation] = ["nothing", cut, "\\boxed{-1}"]
    engine = Answering("critic", lambda _prompt, n, _stop: answers[n])
    score = judged(engine, recipe_of("critic", k=3), CriticJudge)
    assert (score.status, score.first_error, score.rewards) == (ItemStatus.OK, -1, (1.0, 1.0, 1.0))
    assert [c.verdict for c in score.critiques if c.step == 0] == [Verdict.UNPARSED, Verdict.TRUNCATED, Verdict.YES]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (["nothing", "none"], "no answer in any of 2 critiques, 0 cut"),
        (["\\boxed{3}", "\\boxed{3}"], "the critiques answer '3', which names none of 3 steps"),
        (["\\boxed{first}", "\\boxed{1}"], "'first'"),
    ],
)
def test_no_match_is_a_failed_solution_with_its_reason(answers: list[str], reason: str) -> None:
    score = judged(Answering("critic", in_turn(*answers)), recipe_of("critic", k=2), CriticJudge)
    assert score.status is ItemStatus.FAILED
    assert reason in (score.reason or "")
    assert score.first_error is None
    assert len([c for c in score.critiques if c.step == 0]) == 2


def test_a_decided_vote_ends_early() -> None:
    engine = Answering("critic", lambda _prompt, _n, _stop: "\\boxed{0}")
    score = judged(engine, recipe_of("critic", k=8, stopping={"kind": "exact"}), CriticJudge)
    assert (score.first_error, len(score.critiques)) == (0, 4)


def test_an_extension_goes_on_with_the_votes_that_are_there() -> None:
    before = (
        Critique(0, 0, Verdict.YES, None, 5, Finish.STOP, ""),
        Critique(1, 0, Verdict.NO, None, 0, Finish.STOP, ""),
    )
    engine = Answering("critic", in_turn("\\boxed{-1}", "\\boxed{1}"))
    score = judged(engine, recipe_of("critic", k=3), CriticJudge, previous_critiques=before)
    assert score.first_error == 1
    assert len(engine.asked) == 1
    assert [c.k for c in score.critiques if c.step == 0] == [0, 1, 2]


def test_ratings_are_rewards_and_zero_is_not_valid() -> None:
    engine = Answering("critic-scores", in_turn('{"validity": [0.2, 0, -1], "redundancy": [0, 0, 0]}'))
    score = judged(engine, recipe_of("critic-scores", k=1), CriticJudge)
    assert (score.rewards, score.first_error) == ((0.6, 0.5, 0.0), 1)
    assert [c.verdict for c in score.critiques] == [Verdict.YES, Verdict.NO, Verdict.NO]
    assert [turn.role for turn in engine.messages[0].before] == ["system", "user", "assistant", "user", "assistant"]
    other = judged(Answering("critic-scores", in_turn('{"validity": [1]}')), recipe_of("critic-scores"), CriticJudge)
    assert other.status is ItemStatus.FAILED


def test_a_solution_that_is_refused_fails_and_says_why() -> None:
    def refuse(_prompt: Prompt, _n: int, _stop: Sequence[str]) -> str:
        raise Refused("no")

    for family, kind in (("critic", CriticJudge), ("genprm", ChatJudge), ("thinkprm", ThinkJudge)):
        score = judged(Answering(family, refuse), recipe_of(family), kind)
        assert (score.status, score.reason) in [(ItemStatus.FAILED, "no"), (ItemStatus.FAILED, "step 1: no")]


@pytest.mark.parametrize(
    ("family", "kind", "step"),
    [("critic", CriticJudge, ""), ("critic-scores", CriticJudge, ""), ("genprm", ChatJudge, "step 3: "),
     ("genprm-code", ChatJudge, "step 3: "), ("thinkprm", ThinkJudge, "step 3: ")],
)  # fmt: skip
def test_what_does_not_fit_in_the_window_fails_with_that_reason_and_is_not_cut(
    family: str, kind: Any, step: str
) -> None:
    engine = ScriptedEngine(resolve_judge("scripted", family), ScriptedOptions(max_model_len=3000))
    score = judged(engine, recipe_of(family), kind, steps=("1", "2", "3" + " and so on" * 2000))
    assert score.status is ItemStatus.FAILED
    assert (score.reason or "").startswith(step)
    assert "must fit in the judge's 3000" in (score.reason or "")
    assert score.rewards == (None, None, None)
    assert score.first_error is None


def chat_answer(prompt: Prompt, _n: int, stop: Sequence[str]) -> str:
    if stop == ("</analyze>\n",):
        return f"seen {len(prompt.before)} turns.\n</analyze>\n"
    assert stop == ("</output>\n",)
    return "{Yes}$\n</output>\n"


def test_genprm_sees_its_own_critiques_of_the_earlier_steps() -> None:
    engine = Answering("genprm", chat_answer, [0.9, 0.2, 0.6])
    score = judged(engine, recipe_of("genprm"), ChatJudge)
    assert score.rewards == pytest.approx((0.9, 0.2, 0.6))
    assert score.first_error == 1
    last = engine.messages[-1]
    assert [turn.role for turn in last.before] == ["system", "user", "assistant", "user", "assistant"]
    assert last.before[1].text == "How many?\n1 + 1 = 2"
    assert last.before[3].text == STEPS[1]
    assert last.text == STEPS[2]
    assert not last.think
    first = (
        "<analyze>\nLet's analyze the Paragraph 1 step by step: seen 1 turns.\n</analyze>\n"
        "<output>\n**Judgement**: $\\boxed{Yes}$\n</output>\n"
    )
    assert last.before[2].text == first == score.critiques[0].text
    message, prefill, words = engine.chosen[0]
    assert (message.text, words) == ("How many?\n1 + 1 = 2", ("Yes", "No"))
    assert prefill == first[: first.rindex("Yes}")]


def test_genprms_chats_end_where_the_first_error_is_if_asked() -> None:
    engine = Answering("genprm", chat_answer, [0.9, 0.8, 0.1, 0.2])
    score = judged(engine, recipe_of("genprm", k=2, until_first_error=True), ChatJudge)
    assert score.rewards[0] == pytest.approx(0.85)
    assert (score.first_error, tuple(score.judged_steps), len(score.critiques)) == (1, (0, 1), 4)


def test_a_chat_without_a_verdict_is_unparsed_and_not_half_a_yes() -> None:
    engine = Answering("genprm", lambda _prompt, _n, _stop: "nothing")
    score = judged(engine, recipe_of("genprm"), ChatJudge)
    assert score.status is ItemStatus.FAILED
    assert {c.verdict for c in score.critiques} == {Verdict.UNPARSED}
    assert engine.chosen == []


def code_answer(prompt: Prompt, _n: int, stop: Sequence[str]) -> str:
    if stop == ("</analyze>\n",):
        return "hm\n</analyze>\n"
    if prompt.prefill.endswith("```python\n"):
        # From the second step on it goes on with a name of the first.
        return "print(x)\n```\n" if prompt.before[1:] else "x = 6 * 7; print(x)\n```\n"
    if "42" in prompt.prefill and "again" not in prompt.prefill:
        return "again\n```python\nprint(1 / 0)\n```\n"
    return "</verify>\n<output>\n**Judgement**: $\\boxed{No}$\n</output>\n"


def test_genprms_code_is_run_and_its_output_shown() -> None:
    engine = Answering("genprm-code", code_answer, [0.3] * 3)
    score = judged(engine, recipe_of("genprm-code"), ChatJudge)
    text = score.critiques[0].text
    assert "print(x)\n```\n[Code Output]\n\n```\n42\n```\nagain\n```python\nprint(1 / 0)\n```\n" in text
    assert "print(x)\n```\n[Code Output]\n\n```\n42\n```\n" in score.critiques[2].text
    assert "ZeroDivisionError: division by zero" in text
    assert text.endswith("$\\boxed{No}$\n</output>\n")
    assert score.rewards == pytest.approx((0.3, 0.3, 0.3))


def test_a_judge_that_only_writes_code_judges_by_its_analysis() -> None:
    def endless(_prompt: Prompt, _n: int, stop: Sequence[str]) -> str:
        if stop == ("</analyze>\n",):
            return "hm\n</analyze>\n"
        return "```python\nprint(1)\n```\n" if "\n```\n" in stop else "{Yes}$\n</output>\n"

    engine = Answering("genprm-code", endless, [0.8])
    score = judged(engine, recipe_of("genprm-code"), ChatJudge, steps=STEPS[:1])
    assert score.critiques[0].text == (
        "<analyze>\nLet's analyze the Paragraph 1 step by step: hm\n</analyze>\n"
        "<output>\n**Judgement**: $\\boxed{Yes}$\n</output>\n"
    )


def test_thinkprm_asks_for_every_prefix_and_decides_behind_the_chain() -> None:
    stops: list[Sequence[str]] = []

    def chain(_prompt: Prompt, _n: int, stop: Sequence[str]) -> str:
        stops.append(stop)
        return f" fine.\n{stop[2]}" if len(stops) == 1 else " fine.\nIs the solution correct?"

    engine = Answering("thinkprm", chain, [0.9, 0.4, 0.7])
    score = judged(engine, recipe_of("thinkprm"), ThinkJudge)
    assert sorted(score.rewards) == pytest.approx([0.4, 0.7, 0.9])
    assert sorted(stop[2] for stop in stops) == ["Step 2:", "Step 3:", "Step 4:"]
    assert {prefill for _, prefill in engine.asked} == {"\nLet's verify step by step:"}
    shown = sorted(text.count("Step ") for text, _ in engine.asked)
    assert shown == [1, 2, 3]
    assert {prefill for _, prefill, _ in engine.chosen} == {
        "\nLet's verify step by step: fine.\nIs the solution correct? "
    }


def test_thinkprm_numbers_steps_that_have_numbers_once() -> None:
    engine = Answering("thinkprm", lambda _prompt, _n, _stop: " fine.", [0.9, 0.4])
    judged(engine, recipe_of("thinkprm"), ThinkJudge, steps=("Step 1: a ", " Step 7: b\nStep 8:c"))
    assert {text.split("[Solution]\n\n")[1].split("\n\n")[0] for text, _ in engine.asked} == {
        "Step 1: a", "Step 1: a\nStep 2: b\nc",
    }  # fmt: skip


def test_the_decisions_temperature_flattens_it() -> None:
    yes, no = math.log(0.8), math.log(0.1)
    assert decide(yes, no, 1.0) == pytest.approx(0.8 / 0.9)
    assert decide(yes, no, 2.0) == pytest.approx(math.sqrt(0.8) / (math.sqrt(0.8) + math.sqrt(0.1)))
    assert decide(-1e4, -1.0, 1.0) == 0.0


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        ("print(6 * 7)", "42"),
        ("print(1); x = 1 / 0", "Code execute Error: ZeroDivisionError: division by zero"),
        ("import socket; socket.create_connection(('127.0.0.1', 5432), 1)", "OSError"),
        ("import os; os.fork()", "PermissionError"),
        ("import os; os.kill(os.getppid(), 9)", "PermissionError"),
        ("open('/etc/passwd').read()", "PermissionError"),
        ("open('/tmp/rprm-left-behind', 'w')", "PermissionError"),
        ("open('a', 'w').write('b'); print(open('a').read())", "b"),
        ("import os; print(sorted(os.environ))", "['LC_CTYPE']"),
        ("a = bytearray(2 << 30)", "MemoryError"),
        ("print(1)\nwhile True: pass", "Code execute time out: Code execution timed out"),
        ("raise SystemExit(3)", ""),
        ("x =", "SyntaxError"),
    ],
)
def test_code_of_a_judge_is_shut_in(code: str, printed: str) -> None:
    assert printed in asyncio.run(run_python(code, seconds=1.0))


def test_later_code_goes_on_where_earlier_code_ended() -> None:
    earlier = ["import math\nx = 6; print('unseen')", "y = 7; z = 1 / 0", "raise SystemExit"]
    assert asyncio.run(run_python("print(math.floor(x * y))", seconds=2.0, earlier=earlier)) == "42"


def test_what_code_prints_is_bounded() -> None:
    assert len(asyncio.run(run_python("print('x' * 10**6)", seconds=2.0))) <= 16_384
