"""`estimate`: what a job would cost, before anything is spent."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from rprm_jobs.cli.shared.command import JOBS, add_command, excludes
from rprm_jobs.cli.shared.common import print_json
from rprm_jobs.cli.shared.costs import as_json_row, show_cost, show_estimate
from rprm_jobs.cli.shared.options import (
    FamilyCritiquesOption,
    FamilyOption,
    FamilyThresholdOption,
    FromJobOption,
    JsonOption,
    JudgeOption,
    KeepOption,
    MaxNewTokensOption,
    OptionalFilesArgument,
    PromptOption,
    SystemPromptOption,
    TemperatureOption,
    TopPOption,
)
from rprm_jobs.cli.shared.reading import READING, reading_options
from rprm_jobs.cli.shared.stopping import (
    SCREEN_RULES,
    STOPPING_RULES,
    ByContextOption,
    ChangedOption,
    ConfidenceOption,
    MinKOption,
    OldPolicyOption,
    PilotOption,
    PriceOption,
    ScreenFamilyOption,
    ScreenOption,
    StoppingKind,
    StoppingOption,
    UntilOption,
    WeightOption,
    refuse_old_policy,
    rule_options,
)
from rprm_jobs.cli.shared.submitting import GREEDY_RULE
from rprm_jobs.cli.submit import submit
from rprm_jobs.errors import ConfigError
from rprm_jobs.launch.servers import connected
from rprm_jobs.types import KeepCritiques

if TYPE_CHECKING:
    from rprm_jobs.formats import ReadOptions
    from rprm_jobs.judge.resolve import Judge

# Options of `submit` that change no cost. They are taken, so that a command can be estimated before it is given.
COSTLESS = (
    "seed", "priority", "name", "skip_bad", "new", "wait", "fail_on", "worker", "engine", "engine_arg", "force_verdict",
    "reuse",
)  # fmt: skip
# Types are computed here, which a type checker cannot follow.
_ANNOTATED: Any = Annotated


def _as_submit(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of `submit` that it does not look at, which its help does not list."""
    theirs, own = inspect.signature(submit).parameters, inspect.signature(command).parameters
    costless = []
    for name in COSTLESS:
        kind, info = get_args(theirs[name].annotation)
        hidden = copy.copy(info)
        hidden.hidden = True
        annotation = _ANNOTATED[kind, hidden]
        costless.append(theirs[name].replace(annotation=annotation, kind=inspect.Parameter.KEYWORD_ONLY))

    def accepting(**values: Any) -> None:
        _refuse_impossible(values["priority"], values["name"])
        command(**{name: value for name, value in values.items() if name not in COSTLESS})

    accepting.__name__, accepting.__doc__ = command.__name__, command.__doc__
    parameters = [*own.values(), *costless]
    accepting.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    accepting.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return accepting


def _refuse_impossible(priority: int, name: str | None) -> None:
    """Raises ConfigError as `submit` does: what can be estimated can be submitted."""
    from rprm_jobs.services.jobs.submit import check_name, check_priority

    check_priority(priority)
    check_name(name)


@_as_submit
@reading_options
def estimate(
    files: OptionalFilesArgument = None,
    judge: JudgeOption = "tiny",
    from_job: FromJobOption = None,
    family: FamilyOption = None,
    k: FamilyCritiquesOption = None,
    stopping: StoppingOption = StoppingKind.FIXED,
    confidence: ConfidenceOption = None,
    min_k: MinKOption = None,
    changed: ChangedOption = None,
    price: PriceOption = None,
    by_context: ByContextOption = False,
    pilot: PilotOption = None,
    weight: WeightOption = None,
    screen: ScreenOption = None,
    screen_family: ScreenFamilyOption = None,
    until_first_error: UntilOption = False,
    prompt: PromptOption = None,
    system_prompt: SystemPromptOption = None,
    threshold: FamilyThresholdOption = None,
    temperature: TemperatureOption = None,
    top_p: TopPOption = None,
    max_new_tokens: MaxNewTokensOption = None,
    keep_critiques: KeepOption = KeepCritiques.ALL,
    tokens_per_s: Annotated[
        float | None,
        typer.Option(
            "--tokens-per-s",
            metavar="N",
            min=0.001,
            help="Tokens that all workers generate in a second.",
            show_default="as measured",
        ),
    ] = None,
    as_json: JsonOption = False,
    policy: OldPolicyOption = None,
    *,
    reading: ReadOptions,
) -> None:
    """Estimate what a job would cost in tokens, time and storage.

    It takes all options of `submit`, and learns from finished jobs that are like this one. Nothing is submitted and
    nothing is judged.
    """
    from rprm_jobs.judge.resolve import resolve_judge
    from rprm_jobs.services.jobs.estimate import estimate as estimate_cost
    from rprm_jobs.services.jobs.submit import make_recipe
    from rprm_jobs.stopping.recommended import propose

    refuse_old_policy(policy)
    if not files and from_job is None:
        raise ConfigError("there is nothing to judge", hint="name files of solutions, or a job with --from-job")
    resolved = resolve_judge(judge, family)
    k = resolved.family.resolve_k(k)
    recipe = make_recipe(
        resolved,
        k=k,
        stopping=rule_options(
            stopping,
            k=k,
            screen=screen,
            weight=weight,
            confidence=confidence,
            min_k=min_k,
            changed=changed,
            price=price,
            by_context=by_context,
            pilot=pilot,
        ),
        threshold=threshold,
        template=resolved.asked_with(prompt, system_prompt),
        temperature=temperature,
        top_p=top_p,
        max_new_tokens=max_new_tokens,
        until_first_error=until_first_error,
    )
    scorer = None if screen is None else resolve_judge(screen, screen_family)
    with connected() as context:
        common: Any = {"from_job": from_job, "keep": keep_critiques}
        cost = estimate_cost(
            context, tuple(files or ()), recipe, reading, tokens_per_s=tokens_per_s, count_tokens=_tokenizer(resolved),
            **common,
        )  # fmt: skip
        screening = None
        if scorer is not None:
            own = make_recipe(scorer, k=None)
            screening = estimate_cost(
                context, tuple(files or ()), own, reading, count_tokens=_tokenizer(scorer), **common
            )
    proposals = propose(recipe.stopping, recipe.k, cost.steps, recipe.threshold) if recipe.family is None else []
    if as_json:
        recommended = [asdict(proposal) for proposal in proposals]
        print_json({**as_json_row(cost), "recommended": recommended, "screen": screening and as_json_row(screening)})
        return
    show_estimate(cost, rate_known=tokens_per_s is not None)
    if screening is not None:
        print(f"before it the screen {screen}:")
        show_cost(screening, rate_known=False)
    for proposal in proposals:
        low, high = proposal.score_change
        print(f"  with {proposal.options}: about {cost.critique_tokens * proposal.fraction:,.0f} tokens of critiques;")
        print(f"            on PRMBench it moved the score by {low:+.2f} to {high:+.2f} (95%)")


def _tokenizer(judge: Judge) -> Callable[[str], int] | None:
    """Counts tokens as the judge does, if its tokenizer is a local file and the tokenizers library is installed."""
    from pathlib import Path

    file = Path(judge.location) / "tokenizer.json"
    if not file.is_file():
        return None
    try:
        from tokenizers import Tokenizer
    except ImportError:
        return None
    tokenizer = Tokenizer.from_file(str(file))
    return lambda text: len(tokenizer.encode(text).ids)


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(
        app,
        estimate,
        "rprm-jobs estimate solutions.jsonl --judge tiny -k 16",
        "rprm-jobs estimate rollouts/ --judge ORG/MODEL --stopping adaptive",
        group=JOBS,
        rules=(excludes("from_job", "files", *READING), *SCREEN_RULES, *STOPPING_RULES, GREEDY_RULE),
    )
