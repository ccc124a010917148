"""The shape of what each command prints with --json, one a command; `json-output.schema.json` is generated from them.

Tests hold what commands print against the schema: a field that is added or renamed is changed here as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from docs.shapes.answers import (
    Audited,
    Calibration,
    Compared,
    Parity,
    PrmBench,
    ProcessBench,
    Report,
    ResultRows,
    Simulated,
)
from docs.shapes.common import Row
from docs.shapes.jobs import (
    Cancelled,
    Deleted,
    Demo,
    Estimated,
    Extended,
    Inspected,
    ListedJob,
    Retried,
    Status,
    Submitted,
)
from docs.shapes.servers import Canaries, LogLine, Model, Revoked, Schema, ServersDown, Token, Upgraded, WorkerShape
from docs.shapes.training import DeletedSet, ExportedSet, Improved, ListedRun, ListedSet, ShownRun, ShownSet, Trained
from rprm_jobs.cli.shared.checkup import Check
from rprm_jobs.local import ServiceStatus
from rprm_jobs.services.publishing.push import Pushed
from rprm_jobs.services.training.sets import Built

# By command, in the order of the reference. Of best-of-n every `pass@N` stands at the top, so its fields are open.
SHAPES: Mapping[str, Any] = {
    "demo": Demo,
    "inspect": Inspected,
    "submit": Submitted,
    "rollout": Submitted,
    "search": Submitted,
    "estimate": Estimated,
    "status": Status,
    "jobs": list[ListedJob],
    "cancel": list[Cancelled],
    "retry": list[Retried],
    "extend": Extended,
    "delete": list[Deleted],
    "results": ResultRows,
    "report": Report,
    "compare": Compared,
    "eval processbench": ProcessBench,
    "eval prmbench": PrmBench,
    "eval best-of-n": Row,
    "stopping simulate": Simulated,
    "calibrate fit": Calibration,
    "calibrate list": list[Calibration],
    "calibrate delete": DeletedSet,
    "audit": Audited,
    "parity": Parity,
    "push results": Pushed,
    "push pairs": Pushed,
    "push sft": Pushed,
    "sample": Submitted,
    "sft build": Built,
    "sft list": list[ListedSet],
    "sft show": ShownSet,
    "sft export": ExportedSet,
    "sft delete": DeletedSet,
    "pairs build": Built,
    "pairs list": list[ListedSet],
    "pairs show": ShownSet,
    "pairs export": ExportedSet,
    "pairs delete": DeletedSet,
    "train sft": Trained,
    "train dpo": Trained,
    "runs": list[ListedRun] | ShownRun,
    "improve": Improved,
    "workers": list[WorkerShape],
    "logs": list[LogLine],
    "token create": Token,
    "token list": list[Token],
    "token revoke": Revoked,
    "token log": list[Row],
    "judges": list[Model],
    "services up": list[ServiceStatus],
    "services down": ServersDown,
    "services status": list[ServiceStatus],
    "db upgrade": Upgraded,
    "db current": Schema,
    "doctor": list[Check] | Canaries,
}

# Commands that print what another prints, with some option: several --judge are compared.
OR_AS: Mapping[str, str] = {"eval processbench": "compare"}

# The last line of standard error where a command with --json fails.
ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["kind", "what", "where", "hint", "status"],
            "properties": {
                "kind": {"type": "string"},
                "what": {"type": "string"},
                "where": {"type": "string"},
                "hint": {"type": "string"},
                "status": {"type": "integer"},
                "bad_rows": {"type": "array", "items": {"type": "object"}},
                "n_bad": {"type": "integer"},
            },
        }
    },
}
