"""What can be set of the engine behind HTTP; the key is no option, so that it stands in no command line or job."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

KEY_VARIABLE = "RPRM_API_KEY"


class OpenaiOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`base_url`: up to and with `/v1`; `model`: its name there, else of `endpoint:MODEL`, else the only one listed.

    `concurrency`: requests at a time; `timeout_s`: of one request; `deadline_s`: of a request with its retries;
    `top_logprobs`: how many to ask for, 0 for none; `max_model_len`: where the server does not tell;
    `token_limit_field`: the name of the limit (hosted models of the o-series want max_completion_tokens); `tries`: bad
    answers to one prompt until it is asked whether the server answers others; `start_s`: within which it must answer
    a trial.
    """

    base_url: str = ""
    model: str = ""
    concurrency: int = 64
    timeout_s: float = 600.0
    deadline_s: float = 900.0
    top_logprobs: int = 20
    max_model_len: int = 0
    token_limit_field: str = "max_tokens"
    tries: int = 8
    start_s: float = 15.0

    def __post_init__(self) -> None:
        if not self.base_url:
            raise ValueError("base_url is missing: the server's address with /v1, such as http://127.0.0.1:8000/v1")
        url = urlsplit(self.base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError("base_url is not an http(s) address such as http://127.0.0.1:8000/v1")
        if url.username or url.password or url.query:
            raise ValueError(f"base_url must hold no key; put it in the environment as {KEY_VARIABLE}")
        if min(self.concurrency, self.tries) < 1 or min(self.timeout_s, self.start_s) <= 0 or self.deadline_s < 0:
            raise ValueError("concurrency and tries must be >= 1, timeout_s and start_s > 0, and deadline_s >= 0")
