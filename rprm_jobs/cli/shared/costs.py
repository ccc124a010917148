"""What a job would cost, as `estimate` says it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rprm_jobs.cli.shared.common import human_bytes, human_time, say
from rprm_jobs.words import counted

if TYPE_CHECKING:
    from rprm_jobs.services.jobs.estimate import Estimate
    from rprm_jobs.services.jobs.like import Measured


def as_json_row(cost: Estimate) -> dict[str, Any]:
    """The estimate as `--json` has it."""
    return {**asdict(cost), "critique_tokens_range": cost.critique_tokens_range}


def show_estimate(cost: Estimate, *, rate_known: bool) -> None:
    """Print what the input is, and what judging it would cost; with `rate_known` the user has named the speed."""
    for line in cost.read_as:
        say(line)
    size = f"{counted(cost.solutions, 'solution')}, {counted(cost.steps, 'step')}"
    if not cost.writes:
        print(f"{size}, a score for each")
    elif cost.critiques_per_step:
        print(f"{size}, {counted(cost.critiques, 'critique')}")
    else:
        print(f"{size}, at most {counted(cost.most_critiques, 'critique')}")
    show_cost(cost, rate_known=rate_known)


def show_cost(cost: Estimate, *, rate_known: bool) -> None:
    """Print what judging would cost."""
    early = cost.critiques_per_step
    if early:
        print(f"  critiques a step: {early.mean:.1f} ({_spread(early, '.1f')}), {cost.most_critiques:,} in all at most")
    if cost.refused:
        print(f"  {counted(cost.refused, 'row')} would be refused")
    if not cost.writes:
        print(f"  prompts   {cost.prompt_tokens:,} tokens, each solution once; nothing is generated")
        if cost.reused:
            print(f"  reused    {counted(cost.reused, 'score')}")
        print(f"  database  {human_bytes(cost.bytes)}")
        return
    print(f"  prompts   {cost.prompt_tokens:,} tokens, {cost.distinct_prompt_tokens:,} with a prefix cache")
    if cost.reused:
        print(f"  reused    {counted(cost.reused, 'critique')} that need not be sampled")
    print(f"  critiques {_critique_tokens(cost)}")
    time = "unknown; give --tokens-per-s" if cost.seconds is None else human_time(cost.seconds)
    print(f"  time      {time}" + (f" at {cost.tokens_per_s:,.0f} tokens/s" if cost.tokens_per_s else ""))
    if cost.measured_tokens_per_s and not rate_known:
        print(f"            tokens/s: {_spread(cost.measured_tokens_per_s, ',.0f', 'of this judge')}")
    print(f"  database  {human_bytes(cost.bytes)}")


def _critique_tokens(cost: Estimate) -> str:
    length, ends = cost.tokens_per_critique, cost.critique_tokens_range
    if length is None or ends is None:
        return f"{cost.critique_tokens:,} tokens (as published; no finished job here is like this one)"
    between = "" if ends[0] == ends[1] else f", {ends[0]:,} to {ends[1]:,}"
    return (
        f"{cost.critique_tokens:,} tokens{between}\n"
        f"            {length.mean:,.0f} tokens a critique ({_spread(length, ',.0f')})"
    )


def _spread(measured: Measured, form: str, which: str = "like this one") -> str:
    low, high = f"{measured.low:{form}}", f"{measured.high:{form}}"
    between = "" if measured.jobs == 1 else f"{low} " if low == high else f"{low} to {high} "
    return f"{between}{'from' if measured.jobs == 1 else 'in'} {counted(measured.jobs, 'finished job')} {which}"
