"""Names our models: imported by each of vLLM's worker processes, as its `worker_extension_cls`, before it loads one."""

from __future__ import annotations

from workers.engines.vllm.models import register


class Extension:
    """Adds nothing to vLLM's worker: what counts is that it is looked up."""


register()
