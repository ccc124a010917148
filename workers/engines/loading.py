"""Loads a judge's tokenizer and weights with transformers, and says what is wrong with a judge.

Weights are safetensors and the judge's own Python code stays unread, unless an option says otherwise: a pickle or a
remote module runs whatever its author wrote.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from rprm_jobs.errors import EngineError, JudgeError
from rprm_jobs.judge.architecture import check_architectures, check_heads, weight_names
from rprm_jobs.judge.folder import ADAPTER_WEIGHTS
from rprm_jobs.judge.resolve import Judge
from workers.engines.adapter import check_chat_template, check_tied, merge_adapter

T = TypeVar("T")
# What a model that TRL gave a value head is called in weights that were not saved by TRL.
WRAPPER = "pretrained_model."
_PICKLES = ("*.bin", "*.pt", "*.pth")
# One of them is enough; tokenizer_config.json alone has no vocabulary.
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tekken.json", "vocab.json", "vocab.txt", "spiece.model")
_OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` is an allocation that failed, on a GPU or in main memory."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in _OUT_OF_MEMORY)


def check_weights(judge: Judge, *, allow_pickle: bool) -> None:
    """Raise JudgeError when the judge's folder has no weights that may be loaded; a hub id is not looked at."""
    folder = Path(judge.location)
    if not folder.is_dir():
        return
    if any(folder.glob("*.safetensors")):
        return
    if not any(path for pattern in _PICKLES for path in folder.glob(pattern)):
        raise JudgeError("the folder holds no weights", where=str(folder), hint="put model.safetensors there")
    if not allow_pickle:
        raise JudgeError(
            "the weights are pickled, and loading a pickle runs code",
            where=str(folder),
            hint="convert them to safetensors, or trust them with --engine-arg allow_pickle=true",
        )


def load_tokenizer(judge: Judge, *, trust_remote_code: bool) -> Any:
    """The judge's tokenizer. Raises JudgeError when there is none or it cannot be read."""
    from transformers import AutoTokenizer

    folder = Path(judge.location)
    if folder.is_dir() and not any((folder / name).is_file() for name in _TOKENIZERS):
        raise JudgeError(
            "the folder has no tokenizer",
            where=str(folder),
            hint="put tokenizer.json and tokenizer_config.json of the model that it was trained from there",
        )
    tokenizer: Any = _load(
        judge,
        "the tokenizer cannot be loaded",
        lambda: AutoTokenizer.from_pretrained(
            judge.location, revision=judge.revision, trust_remote_code=trust_remote_code
        ),
    )
    if judge.adapter is not None:
        check_chat_template(tokenizer, Path(judge.adapter))
    return tokenizer


def model_type_of(judge: Judge, *, trust_remote_code: bool) -> str:
    """What its configuration says the judge is, such as `qwen2`. Raises JudgeError when it cannot be read."""
    from transformers import AutoConfig

    config = _load(
        judge,
        "the configuration cannot be loaded",
        lambda: AutoConfig.from_pretrained(
            judge.location, revision=judge.revision, trust_remote_code=trust_remote_code
        ),
    )
    return str(config.model_type)


@dataclass(frozen=True, slots=True)
class Loading:
    """How weights are loaded: their `dtype`, transformers' name of the `attention`, and what is trusted."""

    dtype: Any
    attention: str
    allow_pickle: bool = False
    trust_remote_code: bool = False


def load_model(judge: Judge, how: Loading) -> Any:
    """The judge's weights as a causal language model in evaluation mode, on the CPU; an adapter is merged into them.

    Raises JudgeError for weights that are unreadable or do not fit the configuration, EngineError when memory is short.
    """
    from transformers import AutoModelForCausalLM

    model, report = _load_weights(AutoModelForCausalLM, judge, how)
    if getattr(model, "_hf_peft_config_loaded", False):
        # transformers follows an adapter on a hub to whatever its base is by now.
        raise JudgeError(
            "it is an adapter, and the commit of its base is not known",
            where=judge.location,
            hint="download the adapter, and name its folder as the judge",
        )
    check_architectures(model.config.architectures, judge.location)
    check_heads(report["unexpected_keys"], judge.location)
    _check_complete(report, judge.location)
    return (model if judge.adapter is None else _adapted(model, judge, Path(judge.adapter))).eval()


def _adapted(model: Any, judge: Judge, folder: Path) -> Any:
    check_tied(weight_names(folder / ADAPTER_WEIGHTS), model.config, folder)
    try:
        return merge_adapter(model, folder)
    except JudgeError:
        raise
    # PEFT and torch raise everything from KeyError to RuntimeError for an adapter that they cannot use.
    except Exception as error:
        if is_out_of_memory(error):
            raise _no_memory(judge, error) from error
        raise JudgeError(
            f"the adapter cannot be added to its base: {_first_line(error)}",
            where=str(folder),
            hint="name the base that it was trained on as base_model_name_or_path in adapter_config.json",
        ) from error


def load_base_model(judge: Judge, how: Loading) -> Any:
    """The judge's weights without any head, in evaluation mode, on the CPU. Raises as `load_model`."""
    from transformers import AutoModel

    model, report = _load_weights(AutoModel, judge, how, key_mapping={f"^{WRAPPER}": ""})
    _check_complete(report, judge.location)
    return model.eval()


def _load_weights(library: Any, judge: Judge, how: Loading, **more: Any) -> tuple[Any, dict[str, Any]]:
    """The model, and what transformers says of the weights that it found."""
    check_weights(judge, allow_pickle=how.allow_pickle)
    loaded: tuple[Any, dict[str, Any]] = _load(
        judge,
        "the weights cannot be loaded",
        lambda: library.from_pretrained(
            judge.location,
            revision=judge.revision,
            trust_remote_code=how.trust_remote_code,
            use_safetensors=None if how.allow_pickle else True,
            dtype=how.dtype,
            attn_implementation=how.attention,
            output_loading_info=True,
            **more,
        ),
    )
    return loaded


def local_folder(judge: Judge, *, allow_pickle: bool) -> Path:
    """The folder that holds the judge's weights: its own, or where the hub's client keeps them."""
    if Path(judge.location).is_dir():
        return Path(judge.location)
    from huggingface_hub import snapshot_download

    patterns = ["*.safetensors", "*.json", *(_PICKLES if allow_pickle else ())]
    return Path(
        _load(
            judge,
            "the weights cannot be loaded",
            lambda: snapshot_download(judge.location, revision=judge.revision, allow_patterns=patterns),
        )
    )


def _check_complete(report: dict[str, Any], where: str) -> None:
    # Without this, weights that are not in the file would be random numbers and the judge would judge with them.
    if report["missing_keys"]:
        names = sorted(report["missing_keys"])
        raise JudgeError(
            f"the file lacks {len(names)} weights of the model, {names[0]} for one",
            where=where,
            hint="put the judge's complete weights there",
        )


def _load(judge: Judge, what: str, load: Callable[[], T]) -> T:
    try:
        return load()
    # The libraries below raise everything from OSError to their own Rust errors for a file they cannot use.
    except Exception as error:
        if is_out_of_memory(error):
            raise _no_memory(judge, error) from error
        raise JudgeError(f"{what}: {_first_line(error)}", where=judge.location, hint=_hint(judge, error)) from error


def _no_memory(judge: Judge, error: Exception) -> EngineError:
    return EngineError(
        f"not enough memory for the judge: {_first_line(error)}",
        where=judge.location,
        hint="free memory, use a smaller dtype, or use a machine with more memory",
    )


def _first_line(error: Exception) -> str:
    if "ignore_mismatched_sizes" in str(error):
        # The report that transformers has printed names them.
        return "they have other shapes than config.json says"
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _hint(judge: Judge, error: Exception) -> str:
    if "trust_remote_code" in str(error):
        return "the judge brings its own code: read it, then trust it with --engine-arg trust_remote_code=true"
    if isinstance(error, ImportError):
        return "install what it names, or name the folder of the model's unquantised weights"
    if Path(judge.location).is_dir():
        return "name a folder as `save_pretrained` writes it: config.json, model.safetensors, tokenizer.json"
    return "check the model id and the network, or download the judge and name its folder"
