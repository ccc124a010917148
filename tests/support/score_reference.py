"""Plain forward passes of the published scoring judges, one solution at a time, in the way of their authors' code.

Text is built as a string, tags are found by their ids, and the whole logits are computed: nothing is shared with the
project. Steps must not hold a tag.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

QWEN_SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."
ACT_SYSTEM = (
    "You are a helpful and harmless assistant. You should think step-by-step and put your final answer within"
    " \\boxed{}."
)


class Reference:
    """One folder, loaded by transformers' own classes; `reference` is the other model of a log-ratio."""

    def __init__(self, folder: Path, reference: Path | None = None) -> None:
        from safetensors.torch import load_file
        from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self.weights = load_file(folder / "model.safetensors")
        kind: Any = AutoModelForCausalLM if "lm_head.weight" in self.weights else AutoModel
        self.model: Any = kind.from_pretrained(folder).eval()
        self.other: Any = None if reference is None else AutoModelForCausalLM.from_pretrained(reference).eval()

    def rewards(self, family: str, problem: str, steps: Sequence[str]) -> list[float]:
        """The reward of each step, by the family's own formula."""
        import torch

        with torch.no_grad():
            return [float(value) for value in _FAMILIES[family](self, problem, list(steps))]

    def ids(self, text: str, *, begin: bool = False) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=begin)
        return ids

    def chat(self, *turns: tuple[str, str], opens: bool = False) -> str:
        messages = [{"role": role, "content": text} for role, text in turns]
        return str(self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=opens))

    def hidden(self, ids: list[int]) -> Any:
        import torch

        return self.model(torch.tensor([ids]), output_hidden_states=True).hidden_states[-1][0]

    def logits(self, ids: list[int], model: Any = None) -> Any:
        import torch

        return (model or self.model)(torch.tensor([ids])).logits[0]

    def linear(self, name: str, values: Any) -> Any:
        bias = self.weights.get(f"{name}.bias")
        values = values @ self.weights[f"{name}.weight"].T
        return values if bias is None else values + bias


def _two_class(text: Callable[[Reference, str, str], str]) -> Callable[[Reference, str, list[str]], Any]:
    def rewards(ref: Reference, problem: str, steps: list[str]) -> Any:
        ids = ref.ids(text(ref, problem, "".join(f"{step}<extra_0>" for step in steps)))
        tag = ref.tokenizer.convert_tokens_to_ids("<extra_0>")
        hidden = ref.hidden(ids)[[i for i, token in enumerate(ids) if token == tag]]
        return ref.linear("score.2", ref.linear("score.0", hidden).relu()).softmax(-1)[:, 1]

    return rewards


def _act(ref: Reference, problem: str, steps: list[str]) -> Any:
    text = ref.chat(("system", ACT_SYSTEM), ("user", problem), opens=True) + "".join(f"{s}<extra_0>" for s in steps)
    ids = ref.ids(text)
    tag = ref.tokenizer.convert_tokens_to_ids("<extra_0>")
    hidden = ref.hidden(ids)[[i for i, token in enumerate(ids) if token == tag]]
    total = 0.0
    for member in range(8):
        values = hidden
        for name in ("nn1", "nn2", "nn_out"):
            values = values @ ref.weights[f"score.model.{name}.weight"][member]
            values = values + ref.weights[f"score.model.{name}.bias"][member]
            values = values.relu() if name != "nn_out" else values
        total = total + values[:, 0].sigmoid()
    return total / 8


def _pure(ref: Reference, problem: str, steps: list[str]) -> Any:
    (separator,) = ref.ids("\n\n")
    ids, places = ref.ids(problem), []
    for step in steps:
        ids = [*ids, *ref.ids(step), separator]
        places.append(len(ids) - 1)
    probabilities = ref.linear("score", ref.hidden(ids)[places]).softmax(-1)
    return probabilities[:, 1] - probabilities[:, 0]


def _chosen(ref: Reference, text: str, tag: int, words: Sequence[int], good: int) -> Any:
    ids = ref.ids(text, begin=True)
    rows = ref.logits(ids)[:, list(words)].softmax(-1)[:, good]
    return rows[[i for i, token in enumerate(ids) if token == tag]]


def _math_shepherd(ref: Reference, problem: str, steps: list[str]) -> Any:
    text = f"{problem} " + "\n".join(f"Step {i + 1}: {step} ки" for i, step in enumerate(steps))
    return _chosen(ref, text, ref.ids("ки")[-1], [ref.ids("+")[-1], ref.ids("-")[-1]], 0)


def _rlhflow(ref: Reference, problem: str, steps: list[str]) -> Any:
    plus, minus = ref.ids("+")[-1], ref.ids("-")[-1]
    turns: list[tuple[str, str]] = []
    places = []
    for i, step in enumerate(steps):
        turns.append(("user", f"{problem} {step}" if i == 0 else step))
        turns.append(("assistant", "+"))
        # The last three tokens are `+`, the turn's end and its line break.
        places.append(len(ref.ids(ref.chat(*turns))) - 4)
    return ref.logits(ref.ids(ref.chat(*turns)))[:, [plus, minus]].softmax(-1)[:, 0][places]


def _math_psa(ref: Reference, problem: str, steps: list[str]) -> Any:
    text = f"{problem} " + " ".join(f"Step {i + 1}: {step} \n\n\n\n\n" for i, step in enumerate(steps))
    return _chosen(ref, text, ref.ids(" \n\n\n\n\n")[-1], [ref.ids(" +")[-1], ref.ids(" -")[-1]], 0)


def _versa(ref: Reference, problem: str, steps: list[str]) -> Any:
    text = f"{problem} " + "".join(f"{step.strip()} \n\n\n\n" for step in steps)
    return _chosen(ref, text, ref.ids(" \n\n\n\n")[-1], [12, 10], 1)


def _er(ref: Reference, problem: str, steps: list[str]) -> Any:
    text = f"{problem} " + "".join(f"Step {i + 1}: {step} ки" for i, step in enumerate(steps))
    return _chosen(ref, text, ref.ids(" ки")[-1], [ref.ids(" +")[-1], ref.ids(" -")[-1]], 0)


def _skywork(ref: Reference, problem: str, steps: list[str]) -> Any:
    ids, places = ref.ids(f"{ref.tokenizer.bos_token}{problem}\n"), []
    for step in steps:
        ids = [*ids, *ref.ids(step), ref.ids("\n")[-1]]
        places.append(len(ids) - 1)
    return ref.linear("v_head.summary", ref.hidden(ids)[places])[:, 0].sigmoid()


def _pqm(ref: Reference, problem: str, steps: list[str]) -> Any:
    ids = ref.ids(f"{problem} " + "\n".join(f"Step {i + 1}: {step} [PRM]" for i, step in enumerate(steps)))
    tag = ref.tokenizer.convert_tokens_to_ids("[PRM]")
    hidden = ref.hidden(ids)[[i for i, token in enumerate(ids) if token == tag]]
    return ref.linear("v_head.summary", hidden)[:, 0]


def _llemma(ref: Reference, problem: str, steps: list[str]) -> Any:
    places = []
    text = f"# Question\n\n{problem}\n\n# Solution\n\n"
    for step in steps:
        text += step.replace("\n\n", "").strip()
        # The blank line begins behind what stands so far.
        places.append(len(ref.ids(text, begin=True)))
        text += "\n\n"
    return ref.logits(ref.ids(text, begin=True)).mean(-1)[places].sigmoid()


def _reason_eval(large: bool) -> Callable[[Reference, str, list[str]], Any]:
    """Positions are counted without separators. Of the 7B model `<s>` is one, and is put back behind the counting."""

    def rewards(ref: Reference, problem: str, steps: list[str]) -> Any:
        pad = ref.tokenizer.pad_token
        text = f"Question:\n{problem}\nAnswer:\nLet's think step by step.\n{pad}"
        text += "".join(f"{step}{pad}" for step in steps)
        ids, places = [], []
        for at, token in enumerate(ref.ids(text, begin=True)):
            if token == ref.tokenizer.pad_token_id:
                places.append(at - 1 - len(places))
            else:
                ids.append(token)
        ids, places = (ids, places[1:]) if large else ([ref.tokenizer.bos_token_id, *ids], places[2:])
        assert len(places) == len(steps)
        probabilities = ref.linear("score_head", ref.hidden(ids)[places]).softmax(-1)
        return probabilities[:, 1] + probabilities[:, 2]

    return rewards


def _minos(ref: Reference, problem: str, steps: list[str]) -> Any:
    text = f"Human: {problem}\n\nAssistant:" + "\n".join(f"Step {i + 1}: {step} ки" for i, step in enumerate(steps))
    ids, tag = ref.ids(text, begin=True), ref.ids("ки")[-1]
    return ref.linear("score", ref.hidden(ids)[[i for i, token in enumerate(ids) if token == tag]])[:, 0]


def _eurus(ref: Reference, problem: str, steps: list[str]) -> Any:
    import torch

    whole = ref.ids(ref.chat(("user", problem), ("assistant", "\n\n".join(steps))))
    start = len(ref.ids(ref.chat(("user", problem), opens=True)))
    scores = []
    for model in (ref.model, ref.other):
        log_probs = ref.logits(whole, model).log_softmax(-1)
        scores.append(torch.tensor([float(log_probs[i - 1, whole[i]]) for i in range(start, len(whole))]))
    sums = (scores[0] - scores[1]).cumsum(0)
    beginning = ref.chat(("user", problem), opens=True)
    # A step's last token is the one that holds its last character, be a line break in it or not.
    ends = [len(ref.ids(beginning + "\n\n".join(steps[: i + 1]))) - 1 - start for i in range(len(steps))]
    return (0.001 * sums[ends]).sigmoid()


_FAMILIES: dict[str, Callable[[Reference, str, list[str]], Any]] = {
    "qwen-prm": _two_class(lambda r, q, a: r.chat(("system", QWEN_SYSTEM), ("user", q), ("assistant", a))),
    "universal-prm": _two_class(lambda r, q, a: r.chat(("user", q), ("assistant", a))),
    "reasonflux-prm": _two_class(lambda r, q, a: r.chat(("user", q), ("assistant", a))),
    "act-prm": _act,
    "pure-prm": _pure,
    "math-shepherd": _math_shepherd,
    "rlhflow-prm": _rlhflow,
    "math-psa": _math_psa,
    "versa-prm": _versa,
    "er-prm": _er,
    "skywork-prm": _skywork,
    "pqm": _pqm,
    "llemma-prm": _llemma,
    "reason-eval": _reason_eval(large=False),
    "reason-eval-34b": _reason_eval(large=True),
    "math-minos": _minos,
    "eurus-prm": _eurus,
}
