"""Options that commands share refuse the same values alike: every command that has them, with each value."""

from __future__ import annotations

from pathlib import Path

import pytest

from rprm_jobs.services.context import Context
from tests.support.told_before import fill
from tests.support.typing_in import Typist

pytestmark = pytest.mark.acceptance

COMMANDS = (
    "submit in.jsonl --judge scripted",
    "estimate in.jsonl --judge scripted",
    "sample in.jsonl --judge scripted",
    "rollout problems.jsonl --policy scripted",
    "search problems.jsonl --policy scripted --judge scripted",
    "pairs build {sampled} --name new --dry-run",
    "sft build {sampled} --name new --dry-run",
    "report {judged} -o page.html",
    "compare {judged} {other}",
    "eval processbench in.jsonl --job {judged}",
    "eval prmbench prmbench.jsonl --predictions prm-predictions.jsonl",
    "eval best-of-n responses.jsonl --n 1,2",
    "stopping simulate --votes votes.jsonl",
)
# By option its values, and what is said of each.
VALUES = {
    "--seed": (("-1", "seed=-1 is not in 0.."), (str(2**63), f"seed={2**63} is not in 0..")),
    "--temperature": (("-1", "is negative"), ("nan", "is no number"), ("inf", "is no number")),
    "--top-p": (("0", "is not in (0, 1]"), ("2", "is not in (0, 1]"), ("nan", "is not in (0, 1]")),
    "--max-new-tokens": (("0", "is below 1"), ("-5", "is below 1")),
    "--threshold": (("3", "is not in [0, 1]"), ("-1", "is not in [0, 1]"), ("nan", "is not in [0, 1]")),
    "--priority": (("9999999999999", "is not in -1"),),
    "-k": (("-1", ""), ("99999999", "")),
}


def test_every_command_refuses_what_the_others_refuse(
    context: Context, servers_env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    jobs, typist, wrong, refused = fill(context, tmp_path), Typist(servers_env, tmp_path), [], 0
    for command in COMMANDS:
        for option, values in VALUES.items():
            for value, words in values:
                answer = typist(f"{command.format_map(jobs)} {option} {value}")
                first = answer.err.splitlines()[0] if answer.err else ""
                if first.startswith(f"error: there is no option {option}"):
                    continue
                refused += 1
                if answer.status not in (2, 3) or words not in answer.err or "  hint: " not in answer.err:
                    wrong.append(f"{answer.line}: {answer.status}: {first}")
    assert not wrong, "\n".join(wrong)
    assert refused > 80
