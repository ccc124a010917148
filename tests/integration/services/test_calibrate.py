"""A calibration is fitted to a labelled job, stored, and adds a column to the results of any job."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rprm_jobs.errors import ConfigError, Conflict, NotFound
from rprm_jobs.services.context import Context
from rprm_jobs.services.evaluation.calibrate import calibrated_rows, fit_calibration
from rprm_jobs.services.jobs.results import result_rows
from rprm_jobs.store import calibrations
from tests.support.jobs import make_solutions, take_in
from tests.support.store import work_off_all

pytest.importorskip("sklearn")
pytestmark = pytest.mark.integration


def test_it_is_fitted_stored_and_applied(context: Context) -> None:
    labelled = [replace(solution, label=i % 3 - 1) for i, solution in enumerate(make_solutions(12))]
    job = take_in(context.database, labelled).job_id
    work_off_all(context.database)
    stored = fit_calibration(context, "mine", [job])
    # Up to the first error: none of 4 solutions (3 steps each), the first step of 4, the first two of 4.
    assert (stored.calibrator.steps, stored.sources) == (12 + 4 + 8, (f"job {job}",))
    raw = list(result_rows(context, job))
    rows = list(calibrated_rows(context, job, "mine"))
    assert [{k: v for k, v in row.items() if k != "calibrated"} for row in rows] == raw
    assert all(0 <= reward <= 1 for row in rows for reward in row["calibrated"])
    with pytest.raises(Conflict, match="there is a calibration 'mine' already"):
        fit_calibration(context, "mine", [job])
    with context.database.transaction() as connection:
        calibrations.delete(connection, "mine")
        assert calibrations.list_all(connection) == []
    with pytest.raises(NotFound):
        list(calibrated_rows(context, job, "mine"))


def test_a_bad_name_or_nothing_to_learn_from_is_refused(context: Context) -> None:
    with pytest.raises(ConfigError, match="is not a name"):
        fit_calibration(context, "a b", [1])
    with pytest.raises(ConfigError, match="nothing to learn from"):
        fit_calibration(context, "mine", [])
