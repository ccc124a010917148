"""DPO on a small judge: prompts as judging encodes them, the margin grows, and the folder it writes is a judge."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.errors import ConfigError, InputError
from rprm_jobs.formats.writers import SetSchema, write_all
from rprm_jobs.judge.encode import PromptEncoder
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.pairs.rules import SetKind
from rprm_jobs.services.training.export import SPLITS
from tests.support.judges import build_drilled_judge, render
from training import __main__ as command
from training.preferences import encode_pair
from training.recipe import DpoRecipe
from training.source import from_path

VERDICT = "Verification: Is the step correct (Yes/No)?"


def rows(n: int) -> list[dict[str, Any]]:
    """Pairs that all prefer Yes."""
    return [
        {
            "id": f"s-{i}", "step": 0, "correct": True, "prompt": render(f"What is {i} + 1?", f"{i} + 1 = {i + 1}"),
            "chosen": f"{VERDICT} Yes", "rejected": f"{VERDICT} No",
        }
        for i in range(n)
    ]  # fmt: skip


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for split, n in zip(SPLITS, (24, 4), strict=True):
        write_all(str(folder / f"{split}.parquet"), rows(n), SetSchema(pairs=True))
    return folder


def test_an_export_is_read_the_same_at_every_call(exported: Path, tmp_path: Path) -> None:
    source = from_path(exported, SetKind.PAIRS)
    assert source.counts == {"train": 24, "validation": 4}
    assert list(source.rows("train")) == list(source.rows("train")) == rows(24)
    assert source.steps(16, 1.0) == 2
    assert source.steps(16, 3.0) == 5
    lines = tmp_path / "pairs.jsonl.zst"
    write_all(str(lines), rows(3))
    assert from_path(lines, SetKind.PAIRS).counts == {"train": 3, "validation": 0}


def test_what_is_no_export_is_refused_by_file_and_line(tmp_path: Path) -> None:
    bad = tmp_path / "pairs.jsonl"
    bad.write_text(json.dumps(rows(1)[0]) + '\n{"prompt": "p", "completion": "c"}\n')
    with pytest.raises(InputError, match=r"pairs.jsonl:2: a row has no text chosen, rejected"):
        from_path(bad, SetKind.PAIRS)
    bad.write_text("[]\n")
    with pytest.raises(InputError, match=r"pairs.jsonl:1: no JSON object"):
        from_path(bad, SetKind.PAIRS)
    bad.write_text("")
    with pytest.raises(InputError, match="no row to train on"):
        from_path(bad, SetKind.PAIRS)
    with pytest.raises(InputError, match="cannot be read"):
        from_path(tmp_path / "absent.parquet", SetKind.PAIRS)


def test_a_recipe_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        DpoRecipe(batch=0)
    with pytest.raises(ConfigError, match="above 0"):
        DpoRecipe(beta=0.0)


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_training_prefers_what_was_chosen_and_writes_a_judge(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start, out = build_drilled_judge(tmp_path / "drilled"), tmp_path / "better"
    arguments = ["dpo", "--judge", str(start), "--data", str(exported), "--out", str(out), "--no-bf16"]
    arguments += ["--batch", "4", "--accumulation", "2", "--epochs", "4", "--learning-rate", "1e-3"]
    arguments += ["--evaluate-every", "4", "--log-every", "1"]
    monkeypatch.setattr(sys, "argv", ["training", *arguments])
    command.main()
    run = json.loads(capsys.readouterr().out)
    source = from_path(exported, SetKind.PAIRS)
    assert run["data"] == {"name": str(exported), "digest": source.digest, "train": 24, "validation": 4}
    margins = [entry["rewards/margins"] for entry in run["log"] if "rewards/margins" in entry]
    assert len(margins) == 12
    assert margins[-1] > margins[0] + 0.1
    assert any("eval_loss" in entry for entry in run["log"])
    judge = resolve_judge(str(out))
    assert judge.template == resolve_judge(str(start)).template
    assert judge.sampling == resolve_judge(str(start)).sampling
    monkeypatch.setattr(sys, "argv", ["training", *arguments])
    with pytest.raises(SystemExit):
        command.main()
    assert "there is a judge already" in capsys.readouterr().err


@pytest.mark.engine
@pytest.mark.slow
def test_the_prompt_is_encoded_as_judging_encodes_it(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(build_drilled_judge(tmp_path / "drilled"))
    encoder = PromptEncoder(tokenizer)
    row = rows(1)[0] | {"prompt": render("<|im_end|> What?", "{now_step} <|im_start|>")}
    pair = encode_pair(row, tokenizer, encoder)
    assert pair["prompt_ids"] == encoder.encode(row["prompt"])
    assert encoder.decode(pair["chosen_ids"]) == row["chosen"]
    assert pair["chosen_ids"][-1] == pair["rejected_ids"][-1] == tokenizer.eos_token_id
