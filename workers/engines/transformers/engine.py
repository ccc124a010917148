"""The engine for machines without vLLM: transformers on a CPU or one GPU, many critiques decoded together.

The critiques of a prompt share its keys and values; P(Yes) is read off the raw logits of the generating pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from rprm_jobs.engine import EngineInfo, EngineStats, Generation, Prompt
from rprm_jobs.errors import EngineDied, EngineError, JudgeError, PromptTooLong
from rprm_jobs.judge.encode import PromptEncoder
from rprm_jobs.judge.resolve import Judge
from rprm_jobs.types import Message, Sampling
from workers.engines.loading import Loading, load_model, load_tokenizer
from workers.engines.naming import engine_name
from workers.engines.transformers.attention import ATTENTION, register
from workers.engines.transformers.batcher import Batcher
from workers.engines.transformers.decoder import Decoder
from workers.engines.transformers.placing import default_dtype, find_device, longest, place
from workers.engines.transformers.stop_checker import StopCriteria

ROOM = 64
_MAX_ROWS = {"cpu": 64, "cuda": 192}
_PREFILL_TOKENS = {"cpu": 4096, "cuda": 16384}
# Growing a slab holds the old and the new one for a moment, and prompts and critiques have one slab each.
_MEMORY_SHARE = 0.3
_CHECK_TOLERANCE = {"float32": 1e-3, "bfloat16": 0.25, "float16": 0.05}


class TransformersOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`device`: auto, cpu, cuda; `dtype`: auto (float32 on a CPU, bfloat16 on a GPU), float32, bfloat16, float16.

    `max_batch`: critiques decoded at a time, 0 for the device's default; `max_model_len`: tokens of prompt and
    critique, 0 for the judge's own; `threads`: of torch on a CPU, 0 for its default.
    """

    device: str = "auto"
    dtype: str = "auto"
    max_batch: int = 0
    max_model_len: int = 0
    threads: int = 0
    allow_pickle: bool = False
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        if self.device not in ("auto", "cpu", "cuda"):
            raise ValueError(f"device {self.device!r} is not auto, cpu or cuda")
        if self.dtype not in ("auto", *_CHECK_TOLERANCE):
            raise ValueError(f"dtype {self.dtype!r} is not auto or one of {', '.join(_CHECK_TOLERANCE)}")
        if min(self.max_batch, self.max_model_len, self.threads) < 0:
            raise ValueError("max_batch, max_model_len and threads must be >= 0")


class TransformersEngine:
    """Implements the Engine protocol with a transformers model in a thread of this process."""

    def __init__(self, judge: Judge, options: TransformersOptions) -> None:
        self._judge = judge
        self._options = options
        self._encoder: PromptEncoder | None = None
        self._batcher: Batcher | None = None
        self._max_len = 0

    async def start(self) -> EngineInfo:
        """Load the judge and check that this engine computes what the model's own attention computes."""
        return await asyncio.to_thread(self._load)

    def encode(self, message: str | Message, prefill: str = "") -> Prompt:
        """The message in its chat frame, as token ids."""
        if self._encoder is None:
            raise EngineError("the engine was not started")
        text = message if isinstance(message, str) else message.text
        return Prompt(text, tuple(self._encoder.encode(message, prefill)), prefill)

    async def sample(
        self, prompt: Prompt, seeds: Sequence[int], sampling: Sampling, *, stop: Sequence[str] | None = None
    ) -> list[Generation]:
        """One text per seed, each the same whatever else is being decoded (to a float's width)."""
        if self._batcher is None:
            raise EngineDied("the transformers engine is not running")
        ids = prompt.ids or self.encode(prompt.text, prompt.prefill).ids
        room = min(ROOM, sampling.max_new_tokens)
        if len(ids) + room > self._max_len:
            raise PromptTooLong(tokens=len(ids), limit=self._max_len, room=room)
        limit = min(sampling.max_new_tokens, self._max_len - len(ids))
        return await self._batcher.sample(ids, seeds, sampling, limit, None if stop is None else tuple(stop))

    async def choose(self, message: Message, prefill: str, words: Sequence[str]) -> list[float]:
        """The log-probabilities behind the prompt, whose prefill shares a batch with those of other requests."""
        if self._batcher is None or self._encoder is None:
            raise EngineDied("the transformers engine is not running")
        ids, tokens = self._encoder.choice(message, prefill, words)
        if len(ids) + 1 > self._max_len:
            raise PromptTooLong(tokens=len(ids), limit=self._max_len, room=1)
        return await self._batcher.choose(ids, tokens)

    @property
    def rows_in_flight(self) -> int:
        """Critiques that are being decoded at this moment."""
        return 0 if self._batcher is None else self._batcher.rows

    def stats(self) -> EngineStats:
        """Totals so far; a hit is a prompt token that was already held for another critique of its prompt."""
        return EngineStats(0, 0) if self._batcher is None else self._batcher.stats()

    async def close(self) -> None:
        """Stop the thread and let go of the model."""
        batcher, self._batcher = self._batcher, None
        if batcher is not None:
            await asyncio.to_thread(batcher.stop)

    def _load(self) -> EngineInfo:
        import torch
        import transformers

        if self._options.threads:
            torch.set_num_threads(self._options.threads)
        device = find_device(self._options.device)
        dtype = self._options.dtype if self._options.dtype != "auto" else default_dtype(device)
        tokenizer = load_tokenizer(self._judge, trust_remote_code=self._options.trust_remote_code)
        self._encoder = PromptEncoder(tokenizer)
        model = self._place(self._load_model(dtype), device, len(tokenizer))
        self._max_len = longest(model, self._options.max_model_len, self._judge.location)
        tokens = _slab_tokens(model, device)
        if tokens < self._max_len:
            raise EngineError(
                f"memory is free for the keys and values of {tokens} tokens, and one critique may need {self._max_len}",
                hint=f"set --engine-arg max_model_len={tokens // 2} or free memory",
            )
        stop_criteria = StopCriteria(
            _end_ids(model, tokenizer), self._encoder.yes_id, self._encoder.no_id, self._encoder.opening
        )
        decoder = Decoder(model, self._encoder.decode, stop_criteria, tokens=tokens)
        decoder.check(self._encoder.encode("1 + 1 = 2"), tolerance=_CHECK_TOLERANCE[dtype])
        rows = self._options.max_batch or _MAX_ROWS[device]
        self._batcher = Batcher(decoder, rows=rows, tokens=tokens, prefill=_PREFILL_TOKENS[device])
        self._batcher.start()
        # On a CPU and in float32 it has its plain name.
        name = engine_name("transformers", {} if dtype == default_dtype("cpu") else {"dtype": dtype}, ("dtype",))
        return EngineInfo(name, f"{transformers.__version__}, torch {torch.__version__}", self._max_len)

    def _load_model(self, dtype: str) -> Any:
        import torch

        register()
        options = self._options
        how = Loading(getattr(torch, dtype), ATTENTION, options.allow_pickle, options.trust_remote_code)
        return load_model(self._judge, how).requires_grad_(False)

    def _place(self, model: Any, device: str, vocabulary: int) -> Any:
        _check_architecture(model, vocabulary, self._judge.location)
        return place(model, device, self._judge.location)


def _check_architecture(model: Any, vocabulary: int, where: str) -> None:
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or []) - {"full_attention"}
    if kinds or not getattr(model, "_supports_attention_backend", False):
        what = f"layers of kind {', '.join(sorted(kinds))}" if kinds else "an attention of its own"
        raise JudgeError(
            f"the judge has {what}, which the transformers engine does not compute",
            where=where,
            hint="use --engine vllm",
        )
    if vocabulary > model.get_output_embeddings().weight.shape[0]:
        raise JudgeError(
            f"the tokenizer has {vocabulary} tokens, more than the model",
            where=where,
            hint="put the judge's own tokenizer beside its weights",
        )


def _end_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    named = [model.generation_config.eos_token_id, model.config.eos_token_id, tokenizer.eos_token_id]
    flat = [i for ids in named if ids is not None for i in (ids if isinstance(ids, list) else [ids])]
    return frozenset(int(i) for i in flat)


def _slab_tokens(model: Any, device: str) -> int:
    """How many tokens' keys and values a slab may hold within its share of the free memory."""
    import psutil
    import torch

    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    each = 2 * config.num_hidden_layers * heads * size * model.dtype.itemsize
    free = torch.cuda.mem_get_info()[0] if device == "cuda" else psutil.virtual_memory().available
    return int(free * _MEMORY_SHARE / each)
