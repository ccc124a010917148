"""The training curves of a report: a plot for what was logged, training and validation apart, and none for the rest."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rprm_jobs.store.training.runs import Logged, NewRun, Phase, Run, RunState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STARTED = NewRun(Phase.DPO, "tiny", "0" * 64, "first", "1" * 64, {}, 30, 90, 10, "host", "/judges/better")
RUN = Run(7, STARTED, RunState.DONE, None, 30, {}, NOW, NOW, NOW)


def test_plots_are_of_what_was_logged() -> None:
    pytest.importorskip("matplotlib")
    from rprm_jobs.report.training import draw_training

    logged = [
        Logged(10, False, {"loss": 0.7, "logps/chosen": -50.0, "logps/rejected": -60.0}),
        Logged(20, False, {"loss": 0.5, "logps/chosen": -55.0, "logps/rejected": -90.0}),
        Logged(20, True, {"eval_loss": 0.6}),
    ]
    loss, logps = draw_training(RUN, logged)
    assert (loss.name, logps.name) == ("training-loss", "training-logps")
    assert loss.caption == "Run 7, at the end: loss 0.5, loss (validation) 0.6."
    assert logps.caption == "Run 7, at the end: logps/chosen -55, logps/rejected -90."
    for figure, labels in ((loss, ("loss, validation",)), (logps, ("logps/chosen", "logps/rejected"))):
        assert figure.svg is not None
        assert all(f">{label}<" in figure.svg for label in labels)
    assert draw_training(RUN, []) == []
