"""The engines by name: a literal dict of factories, each of which imports its library only when called.

An option is what `--engine-arg key=value` gives: text, read by the engine that knows its type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from rprm_jobs.engine import Engine, Scorer
from rprm_jobs.errors import ConfigError
from rprm_jobs.judge.families.scoring import Head, ScoreFamily
from rprm_jobs.judge.resolve import SCRIPTED, Judge
from workers.engines.extras import has_gpu, has_module, require

Options = Mapping[str, str]


def _scripted(judge: Judge, options: Options) -> Engine | Scorer:
    from workers.engines.options import read_options
    from workers.engines.scripted.engine import ScriptedEngine, ScriptedOptions

    if not judge.family.writes:
        from workers.engines.scripted.scorer import ScriptedScorer

        return ScriptedScorer(judge, read_options(ScriptedOptions, options, engine="scripted"))
    return ScriptedEngine(judge, read_options(ScriptedOptions, options, engine="scripted"))


def _transformers(judge: Judge, options: Options) -> Engine | Scorer:
    from workers.engines.options import read_options

    if not judge.family.writes:
        from workers.engines.transformers.scorer import ScorerOptions, TransformersScorer

        asked = read_options(ScorerOptions, options, engine="transformers")
        for module in ("torch", "transformers"):
            require(module, engine="transformers", extra="cpu")
        return TransformersScorer(judge, asked)
    from workers.engines.transformers.engine import TransformersEngine, TransformersOptions

    chosen = read_options(TransformersOptions, options, engine="transformers")
    for module in ("torch", "transformers"):
        require(module, engine="transformers", extra="cpu")
    if judge.adapter is not None:
        require("peft", engine="transformers", extra="lora")
    return TransformersEngine(judge, chosen)


def _vllm(judge: Judge, options: Options) -> Engine | Scorer:
    if judge.adapter is not None:
        from workers.engines.vllm.adapter import check_served

        check_served(Path(judge.adapter))
    for module in ("torch", "vllm"):
        require(module, engine="vllm", extra="vllm")
    if isinstance(judge.family, ScoreFamily) and judge.family.head is Head.LOG_RATIO:
        from workers.engines.vllm.log_ratio import VllmLogRatio

        return VllmLogRatio(judge, options)
    if not judge.family.writes:
        from workers.engines.vllm.scorer import VllmScorer

        return VllmScorer(judge, options)
    from workers.engines.vllm.engine import VllmEngine

    return VllmEngine(judge, options)


def _openai(judge: Judge, options: Options) -> Engine | Scorer:
    from workers.engines.openai.engine import OpenaiEngine
    from workers.engines.openai.options import OpenaiOptions
    from workers.engines.options import read_options

    if not judge.family.writes:
        raise ConfigError(
            f"engine 'openai' cannot score with family {judge.family.name}: chat completions do not show its head",
            hint="name the model's folder or hub id, with --engine transformers or vllm",
        )
    chosen = read_options(OpenaiOptions, options, engine="openai")
    require("httpx", engine="openai", extra="openai")
    return OpenaiEngine(judge, chosen)


ENGINES: dict[str, Callable[[Judge, Options], Engine | Scorer]] = {
    "scripted": _scripted,
    "transformers": _transformers,
    "vllm": _vllm,
    "openai": _openai,
}
AUTO = "auto"


def create_engine(name: str, judge: Judge, options: Options) -> Engine | Scorer:
    """An engine for `judge`, not yet started; `name` is a key of ENGINES or "auto".

    Raises ConfigError for an unknown name or option, MissingExtra when the engine's library is not installed.
    """
    if name == AUTO:
        name = choose_engine(judge)
    if name not in ENGINES:
        raise ConfigError(f"unknown engine {name!r}", hint=f"use one of {', '.join([AUTO, *ENGINES])}")
    if (judge.location == SCRIPTED) != (name == "scripted"):
        raise ConfigError(
            f"engine {name!r} cannot run judge {judge.name!r}",
            hint="the scripted judge and the scripted engine only go together",
        )
    if "lora" in options:
        raise ConfigError(
            "an adapter is a judge of its own, or a policy of its own, and no engine argument",
            hint=f"name its folder: --judge {options['lora']}, or --policy {options['lora']} for a policy",
        )
    if judge.served_as is not None and name != "openai":
        raise ConfigError(
            f"engine {name!r} cannot run {judge.name!r}, whose weights only a server has",
            hint="add --engine openai --engine-arg base_url=http://HOST:PORT/v1",
        )
    return ENGINES[name](judge, options)


def create_writer(name: str, judge: Judge, options: Options) -> Engine:
    """`create_engine` for what must write. Raises ConfigError for a judge that scores."""
    engine = create_engine(name, judge, options)
    if isinstance(engine, Scorer):
        raise ConfigError(f"{judge.name} scores and does not write", hint="name a judge or a policy that writes")
    return engine


def choose_engine(judge: Judge) -> str:
    """What "auto" means: vLLM where it is installed and a GPU is there, else transformers.

    Scripted for its judge, and openai for one that a server has.
    """
    if judge.location == SCRIPTED:
        return "scripted"
    if judge.served_as is not None:
        return "openai"
    return "vllm" if has_module("vllm") and has_gpu() else "transformers"
