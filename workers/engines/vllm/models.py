"""Language models with the heads of scoring judges, for vLLM, which has few of these heads.

vLLM runs the body, and the numbers at each token are those of `workers.engines.heads`, as in the transformers engine.
The class is made of vLLM's own for the body's architecture, so what vLLM has a language model of can be a judge.
Each of vLLM's processes has to know it: its workers import `extension` before they load, others call `overrides`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from rprm_jobs.errors import JudgeError
from rprm_jobs.judge.families.scoring import Head, ScoreFamily
from workers.engines.heads import HEAD_NAME, ReadHead, build_head, head_weights
from workers.engines.loading import WRAPPER

if TYPE_CHECKING:
    from torch import Tensor

EXTENSION = "workers.engines.vllm.extension.Extension"
# What the model's configuration says to the class below.
SPEC = "rprm_scoring"
_SUFFIX = "RprmForSequenceClassification"


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a process of vLLM must know of the judge: its family, where its weights are, and whether pickles count.

    `label_ids` are the tokens whose logits are read, where the family reads such.
    """

    family: ScoreFamily
    folder: str
    allow_pickle: bool = False
    label_ids: tuple[int, ...] = ()


def overrides(base: str, spec: Spec) -> dict[str, Any]:
    """What vLLM must take a model for whose body is that of the language model `base`, such as `Qwen2ForCausalLM`."""
    register(base)
    return {
        "architectures": [_name(base)],
        "num_labels": spec.family.outputs,
        SPEC: msgspec.json.encode(spec).decode(),
    }


def language_model_of(model_type: str) -> str:
    """The language model's architecture of a configuration's `model_type`, "" for one that transformers has none of."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return str(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(model_type, ""))


def has_language_model(base: str) -> bool:
    """Whether vLLM has this architecture."""
    from vllm import ModelRegistry

    return base.endswith("ForCausalLM") and base in ModelRegistry.get_supported_archs()


def register(*bases: str) -> None:
    """Tell this process's vLLM of judges on these language models, on all that it has if none is named.

    A name only: the class is made when it is loaded.
    """
    from vllm import ModelRegistry

    for base in bases or filter(has_language_model, list(ModelRegistry.get_supported_archs())):
        name = _name(base)
        ModelRegistry.register_model(name, f"{__name__}:{name}")


def _name(base: str) -> str:
    return base.removesuffix("ForCausalLM") + _SUFFIX


def __getattr__(name: str) -> type:
    """The class that an architecture's name stands for. vLLM looks it up so, in whichever process needs it."""
    if not name.endswith(_SUFFIX):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _scoring_class(name)


@cache
def _scoring_class(name: str) -> type:
    from vllm import ModelRegistry
    from vllm.model_executor.layers.pooler import DispatchPooler
    from vllm.model_executor.models.adapters import as_seq_cls_model

    base = ModelRegistry.models[f"{name.removesuffix(_SUFFIX)}ForCausalLM"].load_model_cls()
    parent: Any = as_seq_cls_model(base)

    class Scoring(parent):  # type: ignore[misc]
        """The body, and a head that is read beside it."""

        _head: ReadHead | None = None

        def _init_pooler(self, vllm_config: Any, prefix: str = "") -> Any:  # noqa: ARG002
            self._spec = msgspec.json.decode(getattr(vllm_config.model_config.hf_config, SPEC), type=Spec)
            return DispatchPooler.for_seq_cls(vllm_config.model_config.pooler_config, classifier=self._read)

        def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> Any:
            """The body's weights from vLLM's reader, and the head's from there or from the folder."""
            rows: dict[str, Tensor] = {}
            tied = bool(getattr(self.config, "tie_word_embeddings", False))
            loaded = super().load_weights(of_body(weights, self._spec, rows, tied=tied))
            if not self._spec.family.head.of_language_model:
                rows = head_weights(Path(self._spec.folder), allow_pickle=self._spec.allow_pickle)
            elif not rows:
                raise JudgeError("the rows of its vocabulary are not among its weights", where=self._spec.folder)
            self._head = build_head(self._spec.family, rows, where=self._spec.folder)
            return loaded

        def _read(self, hidden: Tensor) -> Tensor:
            if self._head is None:
                raise JudgeError("the judge's weights were not loaded", where=self._spec.folder)
            return self._head(hidden)

    Scoring.__name__ = Scoring.__qualname__ = name
    return Scoring


def of_body(
    weights: Iterable[tuple[str, Tensor]], spec: Spec, rows: dict[str, Tensor], *, tied: bool
) -> Iterator[tuple[str, Tensor]]:
    """The weights without those of a head. `rows` gets what makes the logits that are read a head of their own.

    That is the labels' rows of the vocabulary. The mean of all logits is the product with the mean of all rows.
    """
    source = "embed_tokens.weight" if tied else "lm_head.weight"
    for stored, weight in weights:
        name = stored.removeprefix(WRAPPER)
        if name.endswith(source) and spec.family.head is Head.VOCABULARY:
            rows["score.weight"] = weight[list(spec.label_ids)].clone()
        if name.endswith(source) and spec.family.head is Head.VOCABULARY_MEAN:
            rows["score.weight"] = weight.float().mean(dim=0, keepdim=True)
        if not (HEAD_NAME.match(name) or name.startswith("lm_head.")):
            yield name, weight
