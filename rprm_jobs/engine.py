"""What the runtime asks of an engine. Implementations live in `workers/engines`; none is imported here.

An engine samples critiques and reads P(Yes) in the same pass, or writes free text as a policy does. A scorer reads the
scores of all steps of a solution in one pass (rprm_jobs.judge.families.scoring). Both raise
`ItemFailure` leaves for facts about one prompt and `EngineDied` when they can do nothing more; they never retry and
never invent a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from rprm_jobs.types import Finish, Message, Sampling, Turn


@dataclass(frozen=True, slots=True)
class Prompt:
    """A rendered prompt: the user message, how the answer begins, and their ids in the chat frame.

    `ids` are empty when the server tokenises, which is then sent the turns `before` the message too. `prefill` is empty
    for a judge, which writes its answer from the start.
    """

    text: str
    ids: tuple[int, ...] = ()
    prefill: str = ""
    before: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class Generation:
    """One sampled critique. `p_yes` in [0, 1] at the verdict; None without a verdict or without log-probs.

    `tokens` are those of the text; one that was generated to see that the verdict was whole is not counted.
    """

    text: str
    tokens: int
    finish: Finish
    p_yes: float | None


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What runs: `name` of the engine, its library `version`, and the longest prompt + critique in tokens.

    The name is one word. It says what an engine's judgements depend on besides judge, prompt and seed: its kind, and
    the settings that change what is computed, such as "vllm+quantization=fp8".
    """

    name: str
    version: str
    max_model_len: int


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Running totals since start; `prefix_hit_rate` in [0, 1], None where the engine does not report it."""

    prompt_tokens: int
    generated_tokens: int
    prefix_hit_rate: float | None = None


@dataclass(frozen=True, slots=True)
class SolutionPrompt:
    """A solution as a scoring judge reads it: its ids, and for each step the index at which it is read.

    `answer` is where the solution begins, behind the problem. `text` stands for the ids where an engine has none.
    """

    ids: tuple[int, ...]
    places: tuple[int, ...]
    answer: int = 0
    text: str = ""


class Engine(Protocol):
    """One loaded judge that writes, on one device group, used from one event loop."""

    async def start(self) -> EngineInfo:
        """Load the judge. Raises EngineError or JudgeError with what is wrong and a hint."""
        ...

    def encode(self, message: str | Message, prefill: str = "") -> Prompt:
        """Prepare a message, and an answer to go on with; cheap, and safe to call from the event loop.

        Raises Refused for a message whose chat frame is another model's.
        """
        ...

    async def sample(
        self, prompt: Prompt, seeds: Sequence[int], sampling: Sampling, *, stop: Sequence[str] | None = None
    ) -> list[Generation]:
        """One text per seed, in the order of `seeds`. Cancelling this call stops the generation.

        Without `stop` it is a critique, which ends as `judge.verdict` says, with P(Yes). With `stop` it is free text
        that ends with the first of these strings (kept), or at the end of text; an empty `stop` leaves only the latter.

        Raises PromptTooLong, Refused or Unanswered for this prompt alone, EngineDied when the engine is gone.
        """
        ...

    async def choose(self, message: Message, prefill: str, words: Sequence[str]) -> list[float]:
        """The natural log-probability of each of `words` as what comes next in an answer that begins with `prefill`.

        One request of one token; what it happens to draw does not matter. Each word stands for the first token, in its
        place, that the others do not have. Raises as `sample`, and Refused where the engine cannot say.
        """
        ...

    def stats(self) -> EngineStats:
        """Totals so far; never blocks."""
        ...

    async def close(self) -> None:
        """Stop, and leave no process of the engine behind."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """One loaded judge that scores and does not write, on one device group, used from one event loop."""

    async def start(self) -> EngineInfo:
        """Load the judge. Raises EngineError or JudgeError with what is wrong and a hint."""
        ...

    def encode_solution(self, problem: str, steps: Sequence[str]) -> SolutionPrompt:
        """Lay the solution out as the judge's family does; cheap, and safe to call from the event loop."""
        ...

    async def score(self, prompt: SolutionPrompt) -> list[tuple[float, ...]]:
        """The numbers of the family's head at each place, in order, before any softmax or sigmoid.

        A log-ratio has one: the sum over the solution's tokens up to and with the place. Raises PromptTooLong for a
        solution beyond the judge's window, and EngineDied when the engine is gone.
        """
        ...

    def stats(self) -> EngineStats:
        """Totals so far; never blocks."""
        ...

    async def close(self) -> None:
        """Stop, and leave no process of the engine behind."""
        ...
