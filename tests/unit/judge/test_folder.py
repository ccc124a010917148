"""What is no whole model is told from its files' names and first bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from rprm_jobs.errors import JudgeError
from rprm_jobs.judge.folder import check_files, is_adapter


def folder_of(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).write_bytes(b"{}")
    return root


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ((), r"config\.json is missing"),
        (("model.safetensors",), r"config\.json is missing"),
        (("config.json",), "holds no weights"),
        (("config.json", "training_args.bin", "optimizer.pt"), "holds no weights"),
        (("config.json", "model-Q4_K_M.gguf"), "in GGUF, which no engine here reads"),
        (("adapter_config.json", "adapter_model.safetensors", "value_head.safetensors"), r"config\.json is missing"),
        (("adapter_config.json", "config.json", "model.safetensors", "adapter_model.safetensors"), "and an adapter"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path: Path, names: tuple[str, ...], words: str) -> None:
    with pytest.raises(JudgeError, match=words) as caught:
        check_files(folder_of(tmp_path, *names))
    assert caught.value.hint
    assert caught.value.where == str(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "model-00001-of-00002.safetensors"])
def test_a_model_is_taken(tmp_path: Path, name: str) -> None:
    check_files(folder_of(tmp_path, "config.json", name, "adapter_config.json"))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("adapter_config.json", "adapter_model.safetensors"), True),
        (("adapter_config.json", "adapter_model.bin", "config.json", "training_args.bin"), True),
        (("adapter_config.json",), True),
        (("adapter_config.json", "adapter_model.safetensors", "value_head.safetensors"), False),
        (("adapter_config.json", "config.json", "model.safetensors"), False),
        (("adapter_model.safetensors",), False),
    ],
)
def test_an_adapter_has_a_configuration_and_no_weights_of_a_model(
    tmp_path: Path, names: tuple[str, ...], expected: bool
) -> None:
    assert is_adapter(folder_of(tmp_path, *names)) is expected


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.model"])
def test_a_pointer_is_not_the_file(tmp_path: Path, name: str) -> None:
    folder = folder_of(tmp_path, "config.json", "model.safetensors", "tokenizer.model")
    (folder / name).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(JudgeError, match=f"{name} is a Git LFS pointer"):
        check_files(folder)
