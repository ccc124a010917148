"""What a stopping rule is told of a step besides the step's own critiques."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepContext:
    """Where the step stands and what is known around it; a rule may look at any of it, or at nothing.

    `position` counts the solution's steps from 0. `earlier` has the reward in [0, 1] of each step before it, None where
    a step has none or is not decided; a rule that looks at it is `in_order`. `screen` is what a cheaper judge said of
    this step, P(correct) in [0, 1], None where there is none.
    """

    position: int = 0
    earlier: tuple[float | None, ...] = ()
    screen: float | None = None


NO_CONTEXT = StepContext()
