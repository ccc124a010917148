"""How servers say that prompt and answer do not fit their window: the real texts, and the numbers in them."""

from __future__ import annotations

# What is said, then the prompt's tokens, the window, and whether the prompt may be longer than said.
OVERFLOWS: dict[str, tuple[str, tuple[int | None, int | None, bool]]] = {
    "vLLM 0.18, cut": (
        "This model's maximum context length is 8192 tokens. However, you requested 4096 output tokens and your prompt "
        "contains at least 4097 input tokens, for a total of at least 8193 tokens. Please reduce the length.",
        (4097, 8192, True),
    ),
    "vLLM 0.18": (
        "This model's maximum context length is 8192 tokens. However, you requested 4096 output tokens and your prompt "
        "contains 5000 input tokens, for a total of 9096 tokens. Please reduce the length of the input prompt.",
        (5000, 8192, False),
    ),
    "vLLM 0.18, characters": (
        "This model's maximum context length is 8192 tokens. However, you requested 4096 output tokens and your prompt "
        "contains 99999999 characters (more than 52428 characters, which is the upper bound for 4096 input tokens).",
        (None, 8192, False),
    ),
    "vLLM 0.16": (
        "You passed 4097 input tokens and requested 4096 output tokens. However, the model's context length is only "
        "8192 tokens, resulting in a maximum input length of 4096 tokens. Please reduce the length.",
        (4097, 8192, True),
    ),
    "vLLM 0.11": (
        "'max_tokens' or 'max_completion_tokens' is too large: 4096. This model's maximum context length is 8192 "
        "tokens and your request has 5000 input tokens (4096 > 8192 - 5000).",
        (5000, 8192, False),
    ),
    "vLLM, prompt": (
        "This model's maximum context length is 8192 tokens. However, your request has 9000 input tokens. Please",
        (9000, 8192, False),
    ),
    "vLLM, limit": ("max_tokens=20000 cannot be greater than max_model_len=8192. Please", (None, 8192, False)),
    "vLLM, engine": (
        "The decoder prompt (length 9000) is longer than the maximum model length of 8192. Make sure that",
        (9000, 8192, False),
    ),
    "vLLM 0.32": ("Input length (9000) exceeds model's maximum context length (8192).", (9000, 8192, False)),
    "OpenAI": (
        "This model's maximum context length is 8,192 tokens. However, you requested 9,096 tokens (5,000 in the "
        "messages, 4,096 in the completion). Please reduce the length of the messages or completion.",
        (5000, 8192, False),
    ),
    "OpenAI, prompt": (
        "This model's maximum context length is 4097 tokens. However, your messages resulted in 6164 tokens. Please",
        (6164, 4097, False),
    ),
    "SGLang": (
        "Requested token count exceeds the model's maximum context length of 8192 tokens. You requested a total of "
        "9096 tokens: 5000 tokens from the input messages and 4096 tokens for the completion. Please reduce the number",
        (5000, 8192, False),
    ),
    "SGLang, prompt": (
        "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
        (9000, 8192, False),
    ),
    "SGLang, scheduler": (
        "Input length (9000 tokens) exceeds the maximum allowed length (8191 tokens). Use a shorter input",
        (9000, 8191, False),
    ),
    "llama.cpp": (
        "request (9000 tokens) exceeds the available context size (8192 tokens), try increasing it",
        (9000, 8192, False),
    ),
    "llama.cpp, batch": (
        "input (9000 tokens) is larger than the max context size (8192 tokens). skipping",
        (9000, 8192, False),
    ),
    "llama.cpp, old": (
        "the request exceeds the available context size. try increasing the context size or enable context shift",
        (None, None, False),
    ),
    "TGI": (
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8192. Given: 5000 `inputs` tokens and "
        "4096 `max_new_tokens`",
        (5000, 8192, False),
    ),
    "TGI, prompt": (
        "Input validation error: `inputs` must have less than 8191 tokens. Given: 9000",
        (9000, 8191, False),
    ),
    "LM Studio": (
        "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context "
        "length of only 4096 tokens, which is not enough. Try to load the model with a larger context length",
        (5000, 4096, False),
    ),
    "Ollama": (
        "the prompt is longer than the context length currently available to the model; shorten the prompt",
        (None, None, False),
    ),
    "Groq": ("Please reduce the length of the messages or completion", (None, None, False)),
    "Mistral": (
        "Prompt contains 9000 tokens, too large for model with 8192 maximum context length",
        (9000, 8192, False),
    ),
    "xAI": (
        "This model's maximum prompt length is 8192 but the request contains 9000 tokens",
        (9000, 8192, False),
    ),
    "Google": (
        "The input token count (9000) exceeds the maximum number of tokens allowed (8192).",
        (9000, 8192, False),
    ),
    "Anthropic": ("prompt is too long: 9000 tokens > 8192 maximum", (9000, 8192, False)),
    "GitHub": ("prompt token count of 9000 exceeds the limit of 8192", (9000, 8192, False)),
    "Moonshot": ("Your request exceeded model token limit: 8192 (requested: 9000)", (9000, 8192, False)),
    "Qwen": ("Range of input length should be [1, 8192]", (None, 8192, False)),
    "Cerebras": ("Please reduce the length. Current length is 9000 while limit is 8192", (9000, 8192, False)),
}
# Those of prompts that would fit if less were asked for.
SHORTENED = {
    name: (message, tokens, limit)
    for name, (message, (tokens, limit, _)) in OVERFLOWS.items()
    if tokens is None or limit is None or tokens < limit
}
