"""The reader of transcripts: it lets numbers differ, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.transcripts import Exchange, differences, read_transcripts, run_transcript

PAGE = """
Text.

```console
$ N=$(echo 7)
$ echo job $N; echo error >&2
job 1
error
$ echo a \\
  b
a b
```

```bash
$ not run
```
"""


def test_commands_of_a_block_share_a_shell_and_show_both_streams(tmp_path: Path) -> None:
    (block,) = read_transcripts(PAGE)
    assert block == [
        Exchange("N=$(echo 7)", ()),
        Exchange("echo job $N; echo error >&2", ("job 1", "error")),
        Exchange("echo a \\\n  b", ("a b",)),
    ]
    real = run_transcript(block, tmp_path, os.environ)
    assert [one.printed for one in real] == [(), ("job 7", "error"), ("a b",)]
    assert differences(block, real) == []


@pytest.mark.parametrize(
    ("written", "real", "same"),
    [
        ("1,234.5 steps/s", "7 steps/s", True),
        ("7 steps/s", "7 step/s", False),
        ('{"rewards":[0.9,1.0]}', '{"rewards":[1e-05,0]}', True),
        ('{"rewards":[0.9,1.0]}', '{"rewards":[0.9]}', False),
        ("log is /home/me/x/worker-12.log", "log is /tmp/worker-3.log", True),
        ("  ███░ 50%", "  █░ 1%", True),
        ("ok 3", "failed 3", False),
        ("about 1.5 MB", "about 900 KB", True),
        ("a\n...\nb", "a\nx\ny\nb", True),
        ("a\n...\nb", "a\nb", True),
        ("a\n...", "b\nx", False),
        ("a", "a\nb", False),
        ("", "a", False),
    ],
)
def test_only_what_may_differ_may_differ(written: str, real: str, same: bool) -> None:
    one, now = (Exchange("x", tuple(text.splitlines())) for text in (written, real))
    assert (differences([one], [now]) == []) is same


def test_a_command_that_fails_is_named(tmp_path: Path) -> None:
    commands = [Exchange("true", ()), Exchange("echo why; (exit 3)", ()), Exchange("true", ())]
    with pytest.raises(AssertionError, match=r"exit 3 of 'echo why; \(exit 3\)'\nwhy"):
        run_transcript(commands, tmp_path, os.environ)


def test_a_block_begins_with_a_command() -> None:
    with pytest.raises(ValueError, match="begins with a command"):
        read_transcripts("```console\nnone\n```\n")
