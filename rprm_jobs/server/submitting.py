"""From a request for a job to a submission: its rows, or the file that it uploaded, and how they are judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field, model_validator

from rprm_jobs.errors import BadLine, InputError
from rprm_jobs.formats import BadRow, InputRow, RawRow, ReadOptions, read_solutions
from rprm_jobs.formats.readers.decode import refuse_unstorable
from rprm_jobs.formats.readers.reading import solutions_of
from rprm_jobs.formats.readers.report import ReadReport
from rprm_jobs.formats.readers.rows import check_plain
from rprm_jobs.judge.places import model_paths
from rprm_jobs.judge.prompt import PromptTemplate
from rprm_jobs.judge.recipe import MAX_K
from rprm_jobs.server.state import ServiceState
from rprm_jobs.server.uploads import CHECKED
from rprm_jobs.services.jobs.refusals import Refusals
from rprm_jobs.services.jobs.submit import MAX_PRIORITY, MOST_NAME_CHARS, SubmitRequest, make_recipe
from rprm_jobs.settings import Limits
from rprm_jobs.store.access.repeats import Repeat
from rprm_jobs.types import KeepCritiques, Solution

ROWS = "rows"


class JobRequest(BaseModel):
    """A job to create: `rows`, or the `upload` of a file, and the options of `rprm-jobs submit`.

    Rows have `id`, `problem`, and `steps` or `solution`; what else they have comes back with the results.
    """

    model_config = ConfigDict(extra="forbid")

    rows: Annotated[list[Any] | None, Field(description="The solutions to judge.")] = None
    upload: Annotated[str | None, Field(description="The id of a finished upload.")] = None
    judge: Annotated[str | None, Field(description="A judge that the service offers.", max_length=300)] = None
    family: Annotated[str | None, Field(description="The judge's family, NAME or NAME,KEY=VALUE.", max_length=300)] = (
        None
    )
    k: Annotated[int | None, Field(ge=1, le=MAX_K, description="Critiques of each step.")] = None
    stopping: Annotated[
        dict[str, Any] | None, Field(description='When to stop sampling, such as {"kind": "adaptive"}.')
    ] = None
    until_first_error: bool = False
    threshold: Annotated[float | None, Field(ge=0, le=1)] = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    prompt: Annotated[str | None, Field(description="The text of a prompt file.", max_length=200_000)] = None
    temperature: Annotated[float | None, Field(ge=0, le=10)] = None
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None
    max_new_tokens: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    priority: Annotated[int, Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY)] = 0
    keep_critiques: KeepCritiques = KeepCritiques.ALL
    name: Annotated[
        str | None, Field(min_length=1, max_length=MOST_NAME_CHARS, description="A name to find it by.")
    ] = None
    reuse: Annotated[bool, Field(description="Take judgements that the store has.")] = True
    new: Annotated[bool, Field(description="Make a job even where an equal one exists.")] = False
    skip_bad: Annotated[bool, Field(description="Leave out rows that are refused; the answer has them.")] = False
    step_separator: Annotated[str | None, Field(min_length=1, max_length=100)] = None
    split: Annotated[str | None, Field(max_length=200)] = None

    @model_validator(mode="after")
    def _one_of_two(self) -> JobRequest:
        if (self.rows is None) == (self.upload is None):
            raise ValueError("give either rows or upload")
        return self


def submit_request(state: ServiceState, body: JobRequest, actor: str, key: str | None) -> SubmitRequest:
    """What to store. Raises NotFound for a judge or an upload, InputError, ConfigError."""
    judge = state.judges.judge(body.judge, body.family)
    recipe = make_recipe(
        judge,
        template=None if body.prompt is None else PromptTemplate.parse(body.prompt),
        k=body.k, threshold=body.threshold, seed=body.seed, temperature=body.temperature, top_p=body.top_p,
        max_new_tokens=body.max_new_tokens, stopping=body.stopping, until_first_error=body.until_first_error,
    )  # fmt: skip
    reading = ReadOptions(body.step_separator, body.split)
    report, limits = ReadReport(), state.context.settings.limits
    if body.upload is not None:
        path = state.uploads.path(body.upload, actor)
        rows = _checked(path, limits) if path.name == CHECKED else _renamed(path, reading, limits, report)
    else:
        listed = _listed(body.rows or [], most=state.options.max_rows)
        rows = solutions_of(listed, reading, limits, report)
    return SubmitRequest(
        (ROWS,), recipe, reading, body.priority, body.keep_critiques, body.new, body.skip_bad,
        rows=rows, report=report, repeat=None if key is None else Repeat(actor, key),
        name=body.name, model_paths=model_paths(judge=judge), reuse=body.reuse,
        refusals=Refusals(skip=body.skip_bad, to_files=False),
    )  # fmt: skip


def _listed(rows: list[Any], *, most: int) -> Iterator[RawRow | BadLine]:
    if len(rows) > most:
        raise InputError(f"there are {len(rows):,} rows, more than {most:,}", hint="upload a file: /v1/uploads")
    for number, row in enumerate(rows, 1):
        try:
            if not isinstance(row, dict):
                raise BadRow(f"the row is a {type(row).__name__}, not an object")
            refuse_unstorable(row)
            yield RawRow(ROWS, number, row)
        except BadRow as bad:
            yield BadLine(ROWS, number, str(bad))


def _renamed(path: Path, reading: ReadOptions, limits: Limits, report: ReadReport) -> Iterator[InputRow | BadLine]:
    """The rows of an uploaded file, under the name that its owner knows."""
    for row in read_solutions([str(path)], reading, limits, report):
        yield replace(row, file=path.name)


def _checked(path: Path, limits: Limits) -> Iterator[InputRow | BadLine]:
    """Rows that a client of this version has read already, with where they stood; checked again."""
    decode = msgspec.json.Decoder(InputRow).decode
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = decode(line)
                yield replace(row, solution=_check(row.solution, limits))
            except (msgspec.DecodeError, BadRow) as bad:
                yield BadLine(CHECKED, number, str(bad))


def _check(solution: Solution, limits: Limits) -> Solution:
    plain: dict[str, Any] = {
        "id": solution.id, "problem": solution.problem, "steps": list(solution.steps), "label": solution.label,
        "step_labels": None if solution.step_labels is None else list(solution.step_labels),
    }  # fmt: skip
    refuse_unstorable({**plain, "metadata": dict(solution.metadata)})
    checked = check_plain(plain, ReadOptions(), limits, ReadReport(), empty_steps=True)
    judged, numbers = solution.judge_steps, range(len(checked.steps))
    if judged is not None and (not judged or list(judged) != sorted(set(judged) & set(numbers))):
        raise BadRow("judge_steps are not ascending steps of the solution")
    return replace(checked, metadata=solution.metadata, judge_steps=judged)
