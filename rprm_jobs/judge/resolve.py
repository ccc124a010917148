"""From what a user types after `--judge` to a judge: a shipped name, a folder, a hub's model, or a server's.

The fingerprint names weights, tokenizer and chat template; the queue's name contains it, so a worker is only
notified of work for the judge that it has loaded.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from rprm_jobs.errors import ConfigError, JudgeError, NotFound
from rprm_jobs.judge.architecture import check_writes
from rprm_jobs.judge.hub import pin
from rprm_jobs.judge.prompt import PromptTemplate
from rprm_jobs.types import Sampling

SCRIPTED = "scripted"
JUDGE_CARD, POLICY_CARD = "rprm_judge.json", "rprm_policy.json"
ENDPOINT = "endpoint:"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w.-]+)?")
_WEIGHT_SUFFIXES = {".safetensors", ".bin", ".pt", ".gguf"}
_WHOLE = 64 * 1024 * 1024
_SAMPLE = 4 * 1024 * 1024


class JudgeCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`rprm_judge.json` in a judge's folder: its prompt file, system message and its own sampling defaults."""

    prompt: str | None = None
    system_prompt: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_new_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Judge:
    """A judge as both sides of the queue know it. `location` is a folder, a hub id, "endpoint:MODEL" or "scripted"."""

    name: str
    location: str
    revision: str | None
    template: PromptTemplate
    sampling: Sampling
    fingerprint: str

    def asked_with(self, prompt: Path | None, system_prompt: str | None) -> PromptTemplate:
        """The template of a prompt file, else the judge's own, with this system message where one is given."""
        template = PromptTemplate.load(prompt) if prompt else self.template
        return template if system_prompt is None else template.with_system(system_prompt)

    @property
    def queue(self) -> str:
        """The Redis queue of this judge: readable name and the first digits of the fingerprint."""
        slug = re.sub(r"[^a-z0-9]+", "-", self.name.partition("@")[0].lower()).strip("-")[-40:]
        return f"rprm.{slug}.{self.fingerprint[:12]}"

    @property
    def served_as(self) -> str | None:
        """The model's name at the server that alone has it, as in `endpoint:MODEL`; None for a judge with weights."""
        return self.location.removeprefix(ENDPOINT) if self.location.startswith(ENDPOINT) else None


def shipped_judges() -> list[str]:
    """Names of the judges inside the package, and the scripted one."""
    root = Path(str(files("rprm_jobs"))) / "judges"
    names = sorted(p.name for p in root.iterdir() if (p / "config.json").is_file()) if root.is_dir() else []
    return [*names, SCRIPTED]


def resolve_judge(name: str) -> Judge:
    """Find the judge. Raises NotFound for an unknown name, JudgeError for a folder that holds no judge, or a policy.

    A hub id is pinned to the commit that it stands for now, which its `name` then holds: `org/model@COMMIT`. Of
    `endpoint:MODEL` the server alone knows the weights: no hub is asked, and the name is all that tells two apart.
    """
    judge = resolve_model(name)
    folder = Path(judge.location)
    if (folder / POLICY_CARD).is_file() and not (folder / JUDGE_CARD).is_file():
        raise JudgeError(f"{name} is a policy: it writes solutions and judges none", hint="name a judge: --judge tiny")
    return judge


def resolve_model(name: str) -> Judge:
    """Find a model that judges or writes solutions. Raises as `resolve_judge`."""
    if name == SCRIPTED:
        return _elsewhere(name, SCRIPTED, None, "scripted/1")
    if name.startswith(ENDPOINT) and name.removeprefix(ENDPOINT).strip():
        return _elsewhere(name, name, None, name)
    shipped = Path(str(files("rprm_jobs"))) / "judges" / name
    if re.fullmatch(r"[\w-]+", name) and (shipped / "config.json").is_file():
        return _from_folder(name, shipped)
    if Path(name).expanduser().is_dir():
        folder = Path(name).expanduser().resolve()
        return _from_folder(folder.name, folder)
    if _HUB_ID.fullmatch(name) and not name.startswith((".", "/")):
        repo, _, revision = name.partition("@")
        commit = pin(repo, revision or None)
        return _elsewhere(f"{repo}@{commit}", repo, commit, f"hub:{repo}@{commit}")
    raise NotFound(
        f"unknown judge {name!r}",
        hint=f"name a shipped judge ({', '.join(shipped_judges())}), a model folder, a hub id org/model[@revision], "
        f"or {ENDPOINT}MODEL for what a server has",
    )


def check_has_weights(judge: Judge) -> None:
    """Raise JudgeError for a judge that is no model here or on a hub: the scripted one, and what a server has."""
    if judge.location == SCRIPTED or judge.served_as is not None:
        raise JudgeError(
            "its weights are needed, and it has none here", where=judge.name, hint="name a model's folder or a hub id"
        )


def _elsewhere(name: str, location: str, commit: str | None, identity: str) -> Judge:
    digest = hashlib.sha256(identity.encode()).hexdigest()
    return Judge(name, location, commit, PromptTemplate.default(), Sampling(), digest)


def _from_folder(name: str, folder: Path) -> Judge:
    if not (folder / "config.json").is_file():
        raise JudgeError("no model: config.json is missing", where=str(folder), hint="name a model's own folder")
    if not any(p.suffix in _WEIGHT_SUFFIXES for p in folder.iterdir()):
        raise JudgeError("the folder holds no weights", where=str(folder), hint="put model.safetensors there")
    check_writes(folder)
    card = _read_card(folder / JUDGE_CARD)
    template = PromptTemplate.load(folder / card.prompt) if card.prompt else PromptTemplate.default()
    template = template if card.system_prompt is None else template.with_system(card.system_prompt)
    own = {k: v for k in ("temperature", "top_p", "max_new_tokens") if (v := getattr(card, k)) is not None}
    return Judge(name, str(folder), None, template, Sampling(**own), fingerprint_folder(folder))


def _read_card(path: Path) -> JudgeCard:
    if not path.exists():
        return JudgeCard()
    try:
        return msgspec.json.decode(path.read_bytes(), type=JudgeCard)
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(f"the judge's card cannot be read: {error}", where=str(path), hint="correct it") from error


def fingerprint_folder(folder: Path) -> str:
    """Hex SHA-256 over the model's files. Of a file over 64 MB the size and 16 evenly spread samples count.

    Sampling keeps a submit of a 15 GB judge under a second; training changes every tensor, so it cannot hide there.
    """
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if _counts(p)):
        size = path.stat().st_size
        digest.update(f"{path.name}\x00{size}\x00".encode())
        with path.open("rb") as file:
            _digest_file(file, size, digest)
    return digest.hexdigest()


def _counts(path: Path) -> bool:
    names = {
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "generation_config.json",
    }
    return path.is_file() and (path.name in names or path.suffix in _WEIGHT_SUFFIXES)


def _digest_file(file: Any, size: int, digest: Any) -> None:
    if size <= _WHOLE:
        digest.update(file.read())
        return
    for i in range(16):
        file.seek((size - _SAMPLE) * i // 15)
        digest.update(file.read(_SAMPLE))
