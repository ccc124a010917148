"""What a model's folder must hold, looked at by names and first bytes alone: no library, and no weight is read."""

from __future__ import annotations

from pathlib import Path

from rprm_jobs.errors import JudgeError

WEIGHTS = (".safetensors", ".bin", ".pt", ".gguf")
# What a training run leaves beside them.
_NO_WEIGHTS = ("training_args.", "optimizer.", "scheduler.", "rng_state")
_POINTER = b"version https://git-lfs.github.com/"
_MERGE = "merge it into its base first (PEFT's merge_and_unload), and name the folder of the merged model"


def check_files(folder: Path) -> None:
    """Raise JudgeError for a folder that holds no whole model, saying what it is."""
    weights = [path for path in folder.iterdir() if path.suffix in WEIGHTS and not path.name.startswith(_NO_WEIGHTS)]
    own = [path for path in weights if not path.name.startswith("adapter_model.")]
    is_adapter = (folder / "adapter_config.json").is_file()
    if is_adapter and not (own and (folder / "config.json").is_file()):
        raise JudgeError("it is an adapter without the model that it belongs to", where=str(folder), hint=_MERGE)
    if not (folder / "config.json").is_file():
        raise JudgeError("no model: config.json is missing", where=str(folder), hint="name a model's own folder")
    if not own:
        raise JudgeError("the folder holds no weights", where=str(folder), hint="put model.safetensors there")
    if is_adapter and len(own) < len(weights):
        # One engine would add the adapter to the weights, and another would not look at it.
        raise JudgeError(
            "it holds a model and an adapter, and does not say whether the one is in the other",
            where=str(folder),
            hint=f"{_MERGE}; of weights with the adapter in them, move adapter_config.json away",
        )
    if all(path.suffix == ".gguf" for path in own):
        raise JudgeError(
            "its weights are in GGUF, which no engine here reads",
            where=str(folder),
            hint="name a folder with the model's safetensors; what writes critiques can be served, as endpoint:MODEL",
        )
    _check_pointers(folder)


def _check_pointers(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        if path.suffix in (*WEIGHTS, ".json", ".model") and path.is_file():
            with path.open("rb") as file:
                if file.read(len(_POINTER)) == _POINTER:
                    raise JudgeError(
                        f"{path.name} is a Git LFS pointer, not the file that it stands for",
                        where=str(folder),
                        hint="fetch the files themselves: git lfs pull, or download the model anew",
                    )
