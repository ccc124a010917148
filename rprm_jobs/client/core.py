"""The client: opens the store once, submits, and finds jobs again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rprm_jobs.client.inputs import ROWS, Solutions, as_paths, as_rows
from rprm_jobs.client.job import Job, Judgement
from rprm_jobs.errors import BadLine, InputError
from rprm_jobs.formats import InputRow, ReadReport
from rprm_jobs.formats.readers.choices import make_read_options
from rprm_jobs.formats.readers.reading import solutions_of
from rprm_jobs.launch.servers import connected
from rprm_jobs.types import URGENT_PRIORITY, KeepCritiques

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rprm_jobs.judge.recipe import Recipe
    from rprm_jobs.settings import Settings


class Client:
    """Jobs from Python. Servers are those of the environment (`RPRM_*`) or of `settings`; missing ones are embedded.

    Close it, or use it in a `with` block. One client may be used from several threads.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        """Connect. Raises ConfigError, StoreUnavailable, or SchemaError before `rprm-jobs db upgrade`."""
        self._stack = ExitStack()
        self._context = self._stack.enter_context(connected(settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; embedded servers stay up for the next client. Safe to call twice."""
        self._stack.close()

    def submit(
        self,
        solutions: Solutions,
        *,
        judge: str = "tiny",
        family: str | None = None,
        k: int | None = None,
        stopping: str | Mapping[str, Any] = "fixed",
        until_first_error: bool = False,
        threshold: float | None = None,
        seed: int = 0,
        prompt: str | Path | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        max_new_tokens: int | None = None,
        priority: int = 0,
        keep_critiques: str = "all",
        format: str = "auto",
        fields: Mapping[str, str] | None = None,
        ids: str = "line",
        split_steps: str | None = None,
        step_separator: str | None = None,
        part: str | None = None,
        min_chars: int = 0,
        split: str | None = None,
        new: bool = False,
        skip_bad: bool = False,
        name: str | None = None,
        reuse: bool = True,
    ) -> Job:
        """Store solutions to be judged; equal solutions and options find the job that is there, unless `new`.

        `solutions` is a path or several, an iterable of mappings, a DataFrame, an Arrow table, or a Dataset. Rows are
        of any format that files may have, or `fields` says where they have what: `{"problem": "prompt", "solution":
        "output"}`; `format`, `ids`, `split_steps`, `step_separator`, `part` and `min_chars` are the options of the
        command. `stopping` is a rule's name, or a mapping such as `{"kind": "planned", "price": 30}`. With `reuse`,
        judgements that are there already are not sampled again. Raises InputError with the refused rows, ConfigError,
        JudgeError, NotFound.
        """
        from rprm_jobs.judge.places import model_paths
        from rprm_jobs.judge.resolve import resolve_judge
        from rprm_jobs.services.jobs.submit import SubmitRequest, submit

        recipe = _recipe(
            judge, family, prompt, k=k, threshold=threshold, seed=seed, temperature=temperature, top_p=top_p,
            max_new_tokens=max_new_tokens, until_first_error=until_first_error,
            stopping={"kind": stopping} if isinstance(stopping, str) else stopping,
        )  # fmt: skip
        reading = make_read_options(
            format=format, fields=fields, ids=ids, split_steps=split_steps, step_separator=step_separator, part=part,
            min_chars=min_chars, split=split,
        )  # fmt: skip
        paths, report = as_paths(solutions), ReadReport()
        rows: Iterable[InputRow | BadLine] | None = None
        if paths is None:
            rows = solutions_of(as_rows(solutions), reading, self._context.settings.limits, report)
        request = SubmitRequest(
            paths or (ROWS,), recipe, reading, priority, KeepCritiques(keep_critiques), new, skip_bad, rows,
            report, name=name, model_paths=model_paths(judge=resolve_judge(judge, family)), reuse=reuse,
        )  # fmt: skip
        return Job(self._context, submit(self._context, request).job_id, judge, family)

    def judge(
        self,
        /,
        problem: str,
        steps: Sequence[str],
        *,
        judge: str = "tiny",
        k: int | None = None,
        timeout: float | None = None,
        worker: bool = True,
        engine: str = "auto",
        **options: Any,
    ) -> Judgement:
        """Judge one solution before the queue's other work, and wait for it.

        The same problem, steps and options are judged once. `options` are those of `submit`; `timeout`, `worker` and
        `engine` those of `Job.wait`. Raises Timeout, and what `submit` raises.
        """
        if isinstance(steps, str):
            raise InputError("steps is a text, not a sequence of steps", hint="give a list with one text a step")
        digest = hashlib.sha256("\x1f".join((problem, *steps)).encode("utf-8", "surrogatepass")).hexdigest()[:16]
        row = {"id": f"judge-{digest}", "problem": problem, "steps": list(steps)}
        options = {"priority": URGENT_PRIORITY, **options}
        job = self.submit([row], judge=judge, k=k, **options)
        job.wait(timeout, worker=worker, engine=engine)
        return job.judgement()

    def job(self, job_id: int) -> Job:
        """The job of this id. Raises NotFound."""
        job = Job(self._context, job_id)
        job.status()
        return job

    def jobs(self, limit: int = 20) -> list[Job]:
        """The newest jobs, newest first."""
        from rprm_jobs.services.jobs.query import recent_jobs

        return [Job(self._context, job.id) for job, _ in recent_jobs(self._context, limit)]


def _recipe(judge: str, family: str | None, prompt: str | Path | None, **options: Any) -> Recipe:
    from rprm_jobs.judge.prompt import PromptTemplate
    from rprm_jobs.judge.resolve import resolve_judge
    from rprm_jobs.services.jobs.submit import make_recipe

    template = None if prompt is None else PromptTemplate.load(Path(prompt))
    return make_recipe(resolve_judge(judge, family), template=template, **options)
