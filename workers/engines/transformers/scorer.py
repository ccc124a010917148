"""Scoring judges with transformers: one forward pass over a batch of solutions, the head computed where it is read.

The base model is transformers' own class for its `model_type`; the head is ours (`heads.py`), so no remote code runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from rprm_jobs.engine import EngineInfo, EngineStats, SolutionPrompt
from rprm_jobs.errors import ConfigError, EngineDied, EngineError, JudgeError, PromptTooLong
from rprm_jobs.judge.encode_solution import SolutionEncoder
from rprm_jobs.judge.families.scoring import Head, ScoreFamily
from rprm_jobs.judge.resolve import Judge
from workers.engines.heads import ReadHead, build_head, head_weights, vocabulary_head
from workers.engines.loading import Loading, load_base_model, load_model, load_tokenizer, local_folder
from workers.engines.transformers.log_ratio import LogRatio
from workers.engines.transformers.placing import default_dtype, find_device, longest, place
from workers.engines.transformers.score_batcher import Outputs, ScoreBatcher

_BATCH_TOKENS = {"cpu": 4096, "cuda": 32768}
_ATTENTION = "sdpa"


class ScorerOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`device`, `dtype`, `max_model_len`, `threads` as of the engine that writes.

    `max_batch_tokens`: ids of a batch with its padding, 0 for the device's default.
    """

    device: str = "auto"
    dtype: str = "auto"
    max_batch_tokens: int = 0
    max_model_len: int = 0
    threads: int = 0
    allow_pickle: bool = False
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        if self.device not in ("auto", "cpu", "cuda"):
            raise ValueError(f"device {self.device!r} is not auto, cpu or cuda")
        if self.dtype not in ("auto", "float32", "bfloat16", "float16"):
            raise ValueError(f"dtype {self.dtype!r} is not auto, float32, bfloat16 or float16")
        if min(self.max_batch_tokens, self.max_model_len, self.threads) < 0:
            raise ValueError("max_batch_tokens, max_model_len and threads must be >= 0")


class TransformersScorer:
    """Implements the Scorer protocol."""

    def __init__(self, judge: Judge, options: ScorerOptions) -> None:
        if not isinstance(judge.family, ScoreFamily):
            raise ConfigError(f"family {judge.family.name} does not score")
        self._judge, self._family, self._options = judge, judge.family, options
        self._encoder: SolutionEncoder | None = None
        self._batcher: ScoreBatcher | None = None
        self._max_len = 0
        self._pad = 0
        self._model: Any = None
        self._head: ReadHead | None = None
        self._ratio: LogRatio | None = None

    async def start(self) -> EngineInfo:
        """Load the judge. Raises EngineError or JudgeError."""
        return await asyncio.to_thread(self._load)

    def encode_solution(self, problem: str, steps: Sequence[str]) -> SolutionPrompt:
        """The solution's ids and places."""
        if self._encoder is None:
            raise EngineError("the engine was not started")
        encoded = self._encoder.encode(problem, steps)
        return SolutionPrompt(encoded.ids, encoded.places, encoded.answer)

    async def score(self, prompt: SolutionPrompt) -> Outputs:
        """The head's numbers at each place, the same whatever else is in the batch (to a float's width)."""
        if self._batcher is None:
            raise EngineDied("the transformers engine is not running")
        if len(prompt.ids) > self._max_len:
            raise PromptTooLong(tokens=len(prompt.ids), limit=self._max_len, room=0)
        return await self._batcher.score(prompt)

    def stats(self) -> EngineStats:
        """Totals so far."""
        return EngineStats(0, 0) if self._batcher is None else self._batcher.stats()

    async def close(self) -> None:
        """Let the running batch end, and let go of the model."""
        batcher, self._batcher = self._batcher, None
        if batcher is not None:
            await batcher.close()
        self._model = self._head = self._ratio = None

    def _load(self) -> EngineInfo:
        import torch
        import transformers

        options = self._options
        if options.threads:
            torch.set_num_threads(options.threads)
        device = find_device(options.device)
        dtype = getattr(torch, options.dtype if options.dtype != "auto" else default_dtype(device))
        tokenizer = load_tokenizer(self._judge, trust_remote_code=options.trust_remote_code)
        self._encoder = SolutionEncoder(tokenizer, self._family)
        self._pad = tokenizer.pad_token_id or 0
        how = Loading(dtype, _ATTENTION, options.allow_pickle, options.trust_remote_code)
        if self._family.head.of_language_model:
            model = load_model(self._judge, how)
            self._head = vocabulary_head(self._family, model, self._encoder.label_ids)
        else:
            model = load_base_model(self._judge, how)
            folder = local_folder(self._judge, allow_pickle=options.allow_pickle)
            weights = head_weights(folder, allow_pickle=options.allow_pickle)
            self._head = build_head(self._family, weights, where=self._judge.location)
        self._model = place(model.requires_grad_(False), device, self._judge.location)
        self._max_len = longest(model, options.max_model_len, self._judge.location)
        self._check_vocabulary(len(tokenizer))
        if self._family.head is Head.LOG_RATIO:
            self._ratio = LogRatio.load(self._judge, self._model, device, how)
        tokens = options.max_batch_tokens or _BATCH_TOKENS[device]
        self._batcher = ScoreBatcher(self._forward, tokens=tokens)
        return EngineInfo("transformers", f"{transformers.__version__}, torch {torch.__version__}", self._max_len)

    def _check_vocabulary(self, tokens: int) -> None:
        rows = self._model.get_input_embeddings().weight.shape[0]
        if tokens > rows:
            raise JudgeError(
                f"the tokenizer has {tokens} tokens, more than the model's {rows}",
                where=self._judge.location,
                hint="put the judge's own tokenizer beside its weights",
            )

    def _forward(self, prompts: Sequence[SolutionPrompt]) -> list[Outputs]:
        import torch

        device = self._model.device
        width = max(len(prompt.ids) for prompt in prompts)
        ids = torch.full((len(prompts), width), self._pad, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, : len(prompt.ids)] = torch.tensor(prompt.ids)
            mask[row, : len(prompt.ids)] = 1
        with torch.inference_mode():
            ids, mask = ids.to(device), mask.to(device)
            if self._ratio is not None:
                return self._ratio.outputs(ids, mask, prompts)
            rows = torch.tensor([row for row, prompt in enumerate(prompts) for _ in prompt.places], device=device)
            columns = torch.tensor([place for prompt in prompts for place in prompt.places], device=device)
            body = getattr(self._model, "base_model", self._model)
            # `use_cache`: nothing is generated behind the pass.
            hidden = body(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
            numbers = self._read(hidden[rows, columns]).float().cpu().tolist()
        return _by_prompt(prompts, numbers)

    def _read(self, hidden: Any) -> Any:
        if self._head is None:
            raise EngineDied("the transformers engine is not running")
        return self._head(hidden)


def _by_prompt(prompts: Sequence[SolutionPrompt], numbers: list[list[float]]) -> list[Outputs]:
    outputs, start = [], 0
    for prompt in prompts:
        outputs.append([tuple(row) for row in numbers[start : start + len(prompt.places)]])
        start += len(prompt.places)
    return outputs
