"""Decodes many critiques at once with a transformers model: rows come and go at any step, prompts are held once.

Not thread-safe: one thread owns it. Rows and prompts stand compactly at the front of their slabs, so that a step
reads plain slices; whoever leaves is replaced by the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rprm_jobs.engine import Generation
from rprm_jobs.errors import JudgeError
from workers.engines.transformers.attention import ATTENTION, Decode, Prefill, Slab
from workers.engines.transformers.sampler import choose, uniforms
from workers.engines.transformers.stop_checker import StopChecker, StopCriteria

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(slots=True, eq=False)
class HeldPrompt:
    """A prompt whose keys and values are held; `logits` [vocabulary] follow its last token, `rows` now use it."""

    ids: Sequence[int]
    logits: Tensor
    index: int
    rows: int = 0


@dataclass(slots=True, eq=False)
class DecodingRow:
    """One text in the making. `limit` in tokens; `pairs` are the raw logits of Yes and No at each token.

    `stop`: None for a critique, else the strings at which free text ends.
    """

    prompt: HeldPrompt
    seed: int
    limit: int
    temperature: float
    top_p: float
    done: Callable[[Generation], None]
    stop: tuple[str, ...] | None = None
    ids: list[int] = field(default_factory=list)
    pairs: list[list[float]] = field(default_factory=list)


class Decoder:
    """A model, the critiques it is writing, and the prompts they belong to. `tokens` bounds what a slab holds."""

    def __init__(
        self, model: Any, decode: Callable[[Sequence[int]], str], stop_criteria: StopCriteria, *, tokens: int
    ) -> None:
        self._model = model
        self._criteria = stop_criteria
        self._stop_checker = StopChecker(decode, stop_criteria, int(model.get_output_embeddings().weight.shape[0]))
        layers = model.config.get_text_config().num_hidden_layers
        self._prompt_slabs = [Slab(tokens) for _ in range(layers)]
        self._row_slabs = [Slab(tokens) for _ in range(layers)]
        self._prompts: list[HeldPrompt] = []
        self._rows: list[DecodingRow] = []
        self._layout: dict[str, Any] = {}

    @property
    def rows(self) -> Sequence[DecodingRow]:
        """The critiques in the making."""
        return self._rows

    def check(self, prompt: Sequence[int], *, tolerance: float) -> None:
        """Raise JudgeError when the model's own attention gives other logits; holds nothing afterwards."""
        import torch

        ids = torch.tensor([list(prompt)], device=self._model.device)
        self._model.set_attn_implementation("sdpa")
        own = self._model(input_ids=ids, use_cache=False).logits[0, -1].float()
        self._model.set_attn_implementation(ATTENTION)
        held = self.prefill([prompt[:-1]])[0]
        row = DecodingRow(held, 0, 2, 0.0, 1.0, lambda _: None, ids=[prompt[-1]])
        held.rows, self._rows = 1, [row]
        self._layout.clear()
        step = self._forward(ids[:, -1:], torch.tensor([[len(prompt) - 1]]), self._plan())[0, -1]
        self.remove(row)
        self.release(held)
        if not bool((own - step).abs().max() <= tolerance * own.abs().max().clamp(min=1.0)):
            raise JudgeError(
                "the transformers engine does not compute this architecture as its own code does",
                hint="use --engine vllm",
            )

    def cost(self, prompts: Sequence[int] = (), limits: Sequence[int] = ()) -> int:
        """Tokens that the slabs may come to hold once prompts and rows of these lengths and limits are added."""
        prompt_lengths = [len(p.ids) for p in self._prompts] + list(prompts)
        row_limits = [row.limit for row in self._rows] + list(limits)
        return sum(len(x) * max(x, default=0) for x in (prompt_lengths, row_limits))

    def prefill(self, prompts: Sequence[Sequence[int]]) -> list[HeldPrompt]:
        """Run the prompts through the model in one batch and hold them until `release`."""
        import torch

        width = max(map(len, prompts))
        ids = torch.tensor([[*p, *[0] * (width - len(p))] for p in prompts])
        ends = sorted({len(p) - 1 for p in prompts})
        plan = Prefill(self._prompt_slabs, len(self._prompts))
        logits = self._forward(ids, torch.arange(width).expand(len(prompts), -1), plan, keep=torch.tensor(ends))
        held = [
            HeldPrompt(p, logits[i, ends.index(len(p) - 1)].clone(), len(self._prompts) + i)
            for i, p in enumerate(prompts)
        ]
        self._prompts += held
        self._layout.clear()
        return held

    def release(self, prompt: HeldPrompt) -> None:
        """Forget a prompt that no row uses."""
        last = self._prompts.pop()
        if last is not prompt:
            for slab in self._prompt_slabs:
                slab.move(last.index, prompt.index, len(last.ids))
            self._prompts[prompt.index] = last
            last.index = prompt.index
        self._layout.clear()

    def open(self, rows: Sequence[DecodingRow]) -> None:
        """Start rows on held prompts: each gets its first token now, the others by `step`."""
        import torch

        for row in rows:
            row.prompt.rows += 1
        self._rows += rows
        self._layout.clear()
        self._emit(rows, torch.stack([row.prompt.logits for row in rows]))

    def step(self) -> None:
        """One more token for every row; finished rows hand over their critique and leave."""
        import torch

        rows = list(self._rows)
        last = torch.tensor([[row.ids[-1]] for row in rows])
        positions = torch.tensor([[len(row.prompt.ids) + len(row.ids) - 1] for row in rows])
        self._emit(rows, self._forward(last, positions, self._plan())[:, -1])

    def remove(self, row: DecodingRow) -> None:
        """Take a row out, finished or not."""
        index = self._rows.index(row)
        last = self._rows.pop()
        if last is not row:
            for slab in self._row_slabs:
                slab.move(len(self._rows), index, len(last.ids))
            self._rows[index] = last
        row.prompt.rows -= 1
        self._layout.clear()

    def _forward(self, ids: Tensor, positions: Tensor, plan: Prefill | Decode, keep: Any = 0) -> Tensor:
        device = self._model.device
        out: Tensor = self._model(
            input_ids=ids.to(device),
            position_ids=positions.to(device),
            use_cache=False,
            logits_to_keep=keep if isinstance(keep, int) else keep.to(device),
            plan=plan,
        ).logits
        return out.float()

    def _plan(self) -> Decode:
        """Where each row's prompt and own tokens stand; what depends only on who is here is kept between steps."""
        import torch

        device, rows = self._model.device, self._rows
        if not self._layout:
            self._layout = self._lay_out()
        position = torch.tensor([len(row.ids) - 1 for row in rows], device=device)
        own = int(position.max()) + 1
        hidden = torch.arange(own, device=device) > position.unsqueeze(1)
        own_mask = torch.zeros(hidden.shape, device=device).masked_fill_(hidden, float("-inf"))
        mask = torch.cat((self._layout["prompt_mask"], own_mask), -1)[:, None, None]
        return Decode(
            self._prompt_slabs,
            self._row_slabs,
            lengths=[len(prompt.ids) for prompt in self._prompts],
            width=self._layout["width"],
            own_tokens=own,
            rows=self._layout["rows"],
            place=self._layout["place"],
            position=position,
            mask=mask,
        )

    def _lay_out(self) -> dict[str, Any]:
        import torch

        device, rows = self._model.device, self._rows
        width = max(prompt.rows for prompt in self._prompts)
        taken = [0] * len(self._prompts)
        place = []
        for row in rows:
            place.append(row.prompt.index * width + taken[row.prompt.index])
            taken[row.prompt.index] += 1
        lengths = torch.tensor([len(row.prompt.ids) for row in rows], device=device)
        tokens = max(len(prompt.ids) for prompt in self._prompts)
        hidden = torch.arange(tokens, device=device) >= lengths.unsqueeze(1)
        return {
            "width": width,
            "place": torch.tensor(place, device=device),
            "rows": torch.arange(len(rows), device=device),
            "prompt_mask": torch.zeros(hidden.shape, device=device).masked_fill_(hidden, float("-inf")),
        }

    def _emit(self, rows: Sequence[DecodingRow], logits: Tensor) -> None:
        """Draw one token for each of `rows` from its `logits` [rows, vocabulary]; let the finished ones go."""
        import torch

        device = logits.device
        temperature = torch.tensor([row.temperature for row in rows], device=device)
        top_p = torch.tensor([row.top_p for row in rows], device=device)
        noise = uniforms([row.seed for row in rows], [len(row.ids) for row in rows]).to(device)
        tokens = choose(logits, temperature, top_p, noise).tolist()
        pairs = logits[:, [self._criteria.yes_id, self._criteria.no_id]].tolist()
        for row, token, pair in zip(rows, tokens, pairs, strict=True):
            row.ids.append(token)
            row.pairs.append(pair)
            if (generation := self._stop_checker.finished(row.ids, row.pairs, row.limit, row.stop)) is not None:
                self.remove(row)
                row.done(generation)
