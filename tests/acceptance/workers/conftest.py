"""A trial of jobs on real workers."""

from __future__ import annotations

import pytest

from rprm_jobs.services.context import Context
from tests.support.trial import Trial
from tests.support.workers import Workers


@pytest.fixture
def trial(context: Context, workers: Workers, servers_env: dict[str, str]) -> Trial:
    """Jobs, workers and the comparison with an undisturbed run."""
    return Trial(context, workers, servers_env)
