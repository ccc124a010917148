"""What a model's folder must hold, looked at by names and first bytes alone: no library, and no weight is read."""

from __future__ import annotations

from pathlib import Path

from rprm_jobs.errors import JudgeError

WEIGHTS = (".safetensors", ".bin", ".pt", ".gguf")
# What a training run leaves beside them.
_NO_WEIGHTS = ("training_args.", "optimizer.", "scheduler.", "scaler.", "rng_state")
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_POINTER = b"version https://git-lfs.github.com/"
MERGE = "merge it into its base first (PEFT's merge_and_unload), and name the folder of the merged model"


def is_adapter(folder: Path) -> bool:
    """Whether it holds an adapter, as PEFT writes it, and no model of its own."""
    return (folder / ADAPTER_CONFIG).is_file() and not _own(_weights(folder))


def check_files(folder: Path) -> None:
    """Raise JudgeError for a folder that holds no whole model, saying what it is."""
    weights = _weights(folder)
    own = _own(weights)
    if not (folder / "config.json").is_file():
        raise JudgeError("no model: config.json is missing", where=str(folder), hint="name a model's own folder")
    if not own:
        raise JudgeError("the folder holds no weights", where=str(folder), hint="put model.safetensors there")
    if (folder / ADAPTER_CONFIG).is_file() and len(own) < len(weights):
        # One engine would add the adapter to the weights, and another would not look at it.
        raise JudgeError(
            "it holds a model and an adapter, and does not say whether the one is in the other",
            where=str(folder),
            hint=f"{MERGE}; of weights with the adapter in them, move adapter_config.json away",
        )
    if all(path.suffix == ".gguf" for path in own):
        raise JudgeError(
            "its weights are in GGUF, which no engine here reads",
            where=str(folder),
            hint="name a folder with the model's safetensors; what writes critiques can be served, as endpoint:MODEL",
        )
    check_pointers(folder)


def _weights(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix in WEIGHTS and not path.name.startswith(_NO_WEIGHTS)]


def _own(weights: list[Path]) -> list[Path]:
    return [path for path in weights if not path.name.startswith("adapter_model.")]


def check_pointers(folder: Path) -> None:
    """Raise JudgeError where a Git LFS pointer stands for a file of the model."""
    for path in sorted(folder.iterdir()):
        if path.suffix in (*WEIGHTS, ".json", ".model") and path.is_file():
            with path.open("rb") as file:
                if file.read(len(_POINTER)) == _POINTER:
                    raise JudgeError(
                        f"{path.name} is a Git LFS pointer, not the file that it stands for",
                        where=str(folder),
                        hint="fetch the files themselves: git lfs pull, or download the model anew",
                    )
