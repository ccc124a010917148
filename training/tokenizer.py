"""Builds the tiny judge's tokenizer: byte-level BPE over the words of its world, with every digit a token of its own.

Any text encodes, since all 256 bytes are in the vocabulary.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

from rprm_jobs.judge.prompt import PromptTemplate
from training.teacher import critique
from training.world import draw_solution

if TYPE_CHECKING:
    from transformers import Qwen2Tokenizer

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
VOCABULARY = 512
CONTEXT = 8192

_CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

_COMMON_WORDS = (
    "the of and to in is that for it as with be by this we so have then from are each which has if there can not all "
    "how many number total since find let value equation result answer first second step given therefore because"
)


def build_tokenizer(prompt_template: str, *, seed: int = 0, solutions: int = 2000) -> Qwen2Tokenizer:
    """Train the tokenizer on `solutions` generated solutions, their critiques and `prompt_template`.

    Text is cut as Qwen2 cuts it: whoever loads a Qwen2 model gets that rule, whatever tokenizer.json says.
    """
    from tokenizers import AddedToken, trainers
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import Qwen2Tokenizer

    rule = Qwen2Tokenizer().backend_tokenizer
    specials = [AddedToken(text, special=True, normalized=False) for text in (END_OF_TEXT, TURN_START, TURN_END)]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=specials,
        initial_alphabet=sorted(ByteLevel.alphabet()),
        show_progress=False,
    )
    rule.train_from_iterator(_corpus(prompt_template, seed, solutions), trainer)
    learnt: dict[str, Any] = json.loads(rule.to_str())["model"]
    merges: Any = [tuple(merge) for merge in learnt["merges"]]
    tokenizer = Qwen2Tokenizer(
        vocab=learnt["vocab"],
        merges=merges,
        eos_token=TURN_END,
        pad_token=END_OF_TEXT,
        extra_special_tokens=[TURN_START],
        model_max_length=CONTEXT,
    )
    tokenizer.chat_template = _CHAT
    return tokenizer


def _corpus(prompt_template: str, seed: int, solutions: int) -> list[str]:
    rng, template = random.Random(seed), PromptTemplate.parse(prompt_template)
    texts = ["user\n", "assistant\n", "system\n"] * solutions
    for number in range(solutions):
        solution = draw_solution(rng, wrong=number % 2 == 0)
        for index in range(len(solution.steps)):
            texts.append(template.render(solution.problem, solution.steps, index))
            texts.append(critique(solution, index))
    return [*texts, *(f" {word}" for word in _COMMON_WORDS.split())]
