"""The log-ratio of two language models over a solution, summed token by token up to each place (EurusPRM)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rprm_jobs.engine import SolutionPrompt
from rprm_jobs.errors import JudgeError
from rprm_jobs.judge.resolve import Judge
from workers.engines.loading import Loading, load_model
from workers.engines.reference import check_vocabularies, reference_of
from workers.engines.transformers.placing import place

if TYPE_CHECKING:
    from torch import Tensor

# Positions whose logits over the whole vocabulary are held at a time.
_AT_ONCE = 512


class LogRatio:
    """The judge and its reference model, which reads the same ids."""

    def __init__(self, model: Any, reference: Any) -> None:
        self._model, self._reference = model, reference

    @classmethod
    def load(cls, judge: Judge, model: Any, device: str, how: Loading) -> LogRatio:
        """Load the reference that the family names. Raises JudgeError when it does not fit the judge's `model`."""
        other = reference_of(judge)
        try:
            reference = load_model(other, how)
        except JudgeError as error:
            raise JudgeError(
                f"the reference model cannot be used: {error.what}", where=other.name, hint=error.hint
            ) from error
        ours, theirs = (m.get_input_embeddings().weight.shape[0] for m in (model, reference))
        check_vocabularies(judge, other, ours, theirs)
        return cls(model, place(reference.requires_grad_(False), device, other.name))

    def outputs(self, ids: Tensor, mask: Tensor, prompts: Sequence[SolutionPrompt]) -> list[list[tuple[float, ...]]]:
        """For each place the sum of log p(model) - log p(reference) over the solution's tokens up to and with it."""
        ratio = (self._log_probs(self._model, ids, mask) - self._log_probs(self._reference, ids, mask)).double().cpu()
        rows: list[list[tuple[float, ...]]] = []
        for row, prompt in enumerate(prompts):
            sums = ratio[row, prompt.answer :].cumsum(0).tolist()
            rows.append([(float(sums[place - prompt.answer]),) for place in prompt.places])
        return rows

    @staticmethod
    def _log_probs(model: Any, ids: Tensor, mask: Tensor) -> Tensor:
        """log p of each token behind those before it, [rows, width]; 0 for the first."""
        import torch

        hidden = model.base_model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        flat, wanted = hidden[:, :-1].reshape(-1, hidden.shape[-1]), ids[:, 1:].reshape(-1)
        parts = []
        for start in range(0, len(flat), _AT_ONCE):
            logits = model.get_output_embeddings()(flat[start : start + _AT_ONCE]).float()
            chosen = logits.gather(1, wanted[start : start + _AT_ONCE, None])[:, 0]
            parts.append(chosen - logits.logsumexp(dim=-1))
        scores = torch.cat(parts).reshape(len(ids), -1)
        return torch.cat([torch.zeros_like(scores[:, :1]), scores], dim=1)
