"""vLLM's own counters as running totals: tokens, and how many prompt tokens the prefix cache already held."""

from __future__ import annotations

from typing import Any

from rprm_jobs.engine import EngineStats


class Totals:
    """Running totals of vLLM's own counters."""

    def __init__(self) -> None:
        self._prompt = self._generated = self._queries = self._hits = 0

    def logger(self) -> Any:
        """A stat logger class, as vLLM wants one, that adds to these totals."""
        from vllm.v1.metrics.loggers import StatLoggerBase

        def record(_: Any, scheduler_stats: Any, iteration_stats: Any, *__: Any, **___: Any) -> None:
            self.add(scheduler_stats, iteration_stats)

        methods = {
            "__init__": lambda _, vllm_config, engine_index=0: None,  # noqa: ARG005
            "record": record,
            "log_engine_initialized": lambda _: None,
        }
        return type("Logger", (StatLoggerBase,), methods)

    def add(self, scheduler: Any, iteration: Any) -> None:
        """Add what one step of the engine did."""
        if iteration is not None:
            self._prompt += iteration.num_prompt_tokens
            self._generated += iteration.num_generation_tokens
        if scheduler is not None:
            self._queries += scheduler.prefix_cache_stats.queries
            self._hits += scheduler.prefix_cache_stats.hits

    def read(self) -> EngineStats:
        """The totals as the protocol has them."""
        return EngineStats(self._prompt, self._generated, self._hits / self._queries if self._queries else None)
