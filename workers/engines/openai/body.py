"""What is sent for one answer: the body of a chat completion, for servers that read it a little otherwise. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from rprm_jobs.engine import Prompt
from rprm_jobs.types import Sampling
from workers.engines.openai.server import Server

_SPECIAL = re.compile(r"<(?=[|\uff5c]|/?(?:s|bos|eos|pad|unk|(?:start|end)_of_turn|eot|sys|SYS)>)|\[(?=/?INST\])")
# Some servers hold a seed in 32 bits and refuse a longer one.
_SEED = 0x7FFFFFFF


def broken(text: str) -> str:
    """The text with a space in whatever the server could take for a special token."""
    return _SPECIAL.sub(lambda mark: mark[0] + " ", text)


def chat_body(
    server: Server,
    prompt: Prompt,
    seed: int,
    sampling: Sampling,
    stops: Sequence[str],
    limit_field: str,
    *,
    top_logprobs: int,
) -> dict[str, Any]:
    """Ask for one answer; `stops` only from a server that keeps them, log-probabilities where there are to be any."""
    # A limit over the whole window is refused as such, before the prompt is looked at.
    limit = min(sampling.max_new_tokens, server.window or sampling.max_new_tokens)
    messages = [{"role": turn.role, "content": turn.text} for turn in prompt.before]
    body: dict[str, Any] = {
        "model": server.model,
        "messages": [*messages, {"role": "user", "content": prompt.text}],
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        limit_field: limit,
        "seed": seed & _SEED,
    }
    if prompt.prefill:
        # vLLM's and SGLang's way to go on with an answer; other servers refuse the fields, or begin a new turn.
        body["messages"].append({"role": "assistant", "content": prompt.prefill})
        body |= {"add_generation_prompt": False, "continue_final_message": True}
    if top_logprobs:
        body |= {"logprobs": True, "top_logprobs": top_logprobs}
    if server.keeps_stops and stops:
        body |= {"stop": list(stops), "include_stop_str_in_output": True}
    return body


def without_logprobs(body: dict[str, Any]) -> dict[str, Any]:
    """The same, asking for no log-probabilities."""
    return {name: value for name, value in body.items() if name not in ("logprobs", "top_logprobs")}
