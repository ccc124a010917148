"""Judging by GenPRM's chats: step after step in one chat, K chats of a solution side by side.

Each step is a user's turn; the judge's critique of it, with the code it wrote and what that printed, is the answer and
stays in the chat for the next steps.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rprm_jobs.aggregation import failed_solution, score_solution, step_reward
from rprm_jobs.engine import Engine
from rprm_jobs.errors import ItemFailure
from rprm_jobs.judge.families.genprm import GenPrmFamily
from rprm_jobs.judge.recipe import critique_seed
from rprm_jobs.judge.verdict import p_yes
from rprm_jobs.store.records import StoredSolution
from rprm_jobs.types import Critique, Finish, Message, SolutionScore, Turn, Verdict
from workers.sandbox import run_python
from workers.tasks import budget
from workers.tasks.common import run_all, sampled
from workers.tasks.judge import StepFailed
from workers.tasks.spec import JudgeSpec

_ANALYZE, _VERIFY, _OUTPUT = "</analyze>\n", "\n```\n", "</output>\n"
_CODE_OPENING = "<verify>\nLet's use python code to find any potential error:\n```python\n"
_JUDGEMENT = "<output>\n**Judgement**: $\\boxed"
_VERDICT = re.compile(r"(Yes|No)\}")
_MOST_BLOCKS = 3
CODE_SECONDS = 5.0


@dataclass(slots=True)
class _Answer:
    """One critique in the making: its text so far, generated tokens, and why the last part ended."""

    text: str
    tokens: int = 0
    finish: Finish = Finish.STOP


@dataclass(slots=True)
class _Chat:
    """The k-th chat of a solution."""

    k: int
    turns: tuple[Turn, ...]
    critiques: list[Critique] = field(default_factory=list)
    # What was run so far: later code goes on with the names that it has left.
    code: list[str] = field(default_factory=list)


class ChatJudge:
    """Judges one solution in K chats. Use once."""

    def __init__(
        self,
        engine: Engine,
        budget_: budget.Budget,
        work: JudgeSpec,
        solution: StoredSolution,
        draining: Callable[[], bool],
    ) -> None:
        family = work.recipe.judge_family
        if not isinstance(family, GenPrmFamily):
            raise TypeError("a chat wants the recipe of GenPRM")
        self._engine, self._budget, self._work, self._solution = engine, budget_, work, solution
        self._family, self._draining = family, draining
        self._turn = budget.Turn(budget_.begin_solution())

    async def run(self) -> SolutionScore | None:
        """The solution's outcome; None when the worker began to drain before any of it was begun."""
        if self._draining():
            return None
        solution, recipe = self._solution, self._work.recipe
        chats = [_Chat(k, self._work.template.before) for k in range(recipe.k)]
        judged = solution.judged_steps
        done = 0
        try:
            # Steps that are not to be judged are in the chat too: those after them are judged in their light.
            for step in range(max(judged) + 1):
                await self._judge_step(chats, step)
                done = step + 1
                if recipe.until_first_error and step in judged and self._is_wrong(chats, step):
                    break
        except ItemFailure as failure:
            return failed_solution(solution.ord, len(solution.steps), str(failure), judged=solution.judge_steps)
        kept = tuple(step for step in judged if step < done)
        critiques = [critique for chat in chats for critique in chat.critiques if critique.step in kept]
        steps = kept if len(kept) < len(judged) else solution.judge_steps
        return score_solution(solution.ord, len(solution.steps), critiques, recipe.threshold, judged=steps)

    def _is_wrong(self, chats: Sequence[_Chat], step: int) -> bool:
        reward = step_reward(critique for chat in chats for critique in chat.critiques if critique.step == step)
        return reward is None or reward < self._work.recipe.threshold

    async def _judge_step(self, chats: Sequence[_Chat], step: int) -> None:
        """The same step in every chat, at the same time as far as there is room."""
        try:
            await run_all([self._with_room(chat, step) for chat in chats])
        except ItemFailure as failure:
            raise StepFailed(f"step {step + 1}: {failure}") from failure

    async def _with_room(self, chat: _Chat, step: int) -> None:
        taken = await self._budget.take(1, self._turn)
        try:
            await self._critique(chat, step)
        finally:
            self._budget.give(taken)

    async def _critique(self, chat: _Chat, step: int) -> None:
        solution = self._solution
        asked = self._work.template.render(solution.problem, solution.steps, 0) if step == 0 else solution.steps[step]
        message = Message(asked, chat.turns, think=False)
        seed = critique_seed(self._work.recipe.seed, solution.id, step, chat.k, self._work.round)
        answer = _Answer(f"<analyze>\nLet's analyze the Paragraph {step + 1} step by step: ")
        await self._write(message, answer, seed, (_ANALYZE,))
        if self._family.code:
            await self._verify(message, answer, seed, chat.code)
        if _JUDGEMENT not in answer.text:
            answer.text += _JUDGEMENT
            await self._write(message, answer, seed + 1, (_OUTPUT,))
        chat.critiques.append(await self._read(message, answer, step, chat.k))
        chat.turns = (*chat.turns, Turn("user", asked), Turn("assistant", answer.text))

    async def _verify(self, message: Message, answer: _Answer, seed: int, earlier: list[str]) -> None:
        """Let the judge write code, run it, and show it what was printed, up to three times.

        If it has not come to its judgement by then, it judges by its analysis alone.
        """
        analysis = answer.text
        answer.text += _CODE_OPENING
        for block in range(1, _MOST_BLOCKS + 1):
            await self._write(message, answer, seed + 1 + block, (_VERIFY, _OUTPUT))
            if not answer.text.endswith(_VERIFY):
                break
            code = answer.text.rpartition("```python\n")[2].removesuffix(_VERIFY)
            printed = await run_python(code, seconds=CODE_SECONDS, earlier=earlier)
            earlier.append(code)
            answer.text += f"[Code Output]\n\n```\n{printed}\n```\n"
        if _JUDGEMENT not in answer.text:
            answer.text = analysis

    async def _write(self, message: Message, answer: _Answer, seed: int, stops: tuple[str, ...]) -> None:
        prompt = self._engine.encode(message, answer.text)
        (part,) = await sampled(self._engine, prompt, [seed], self._work.recipe.sampling, stop=stops)
        answer.text += part.text
        answer.tokens += part.tokens
        answer.finish = part.finish

    async def _read(self, message: Message, answer: _Answer, step: int, k: int) -> Critique:
        """The verdict at the last `Yes}` or `No}`, with the choice between the two words there."""
        verdicts = list(_VERDICT.finditer(answer.text))
        if not verdicts:
            verdict = Verdict.TRUNCATED if answer.finish is Finish.LENGTH else Verdict.UNPARSED
            return Critique(step, k, verdict, None, answer.tokens, answer.finish, answer.text)
        last = verdicts[-1]
        yes, no = await self._engine.choose(message, answer.text[: last.start()], ("Yes", "No"))
        verdict = Verdict.YES if last[1] == "Yes" else Verdict.NO
        return Critique(step, k, verdict, p_yes(yes, no), answer.tokens, answer.finish, answer.text)
