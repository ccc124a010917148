"""From what a user types after `--judge` to a judge: a shipped name, a folder, a hub's model, or a server's.

The fingerprint names weights, tokenizer and chat template; the queue's name contains it, so a worker is only
notified of work for the judge that it has loaded.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from rprm_jobs.errors import ConfigError, JudgeError, NotFound
from rprm_jobs.judge.architecture import architectures_in, check_family, check_writes
from rprm_jobs.judge.families.family import Family
from rprm_jobs.judge.families.rprm import RPRM
from rprm_jobs.judge.families.table import find_family, own_family, recognise
from rprm_jobs.judge.folder import WEIGHTS, check_files
from rprm_jobs.judge.hub import architectures_of, pin, repo_of_snapshot
from rprm_jobs.judge.prompt import PromptTemplate
from rprm_jobs.types import Sampling

SCRIPTED = "scripted"
JUDGE_CARD, POLICY_CARD = "rprm_judge.json", "rprm_policy.json"
ENDPOINT = "endpoint:"
_POLICIES = Path(str(files("rprm_jobs"))) / "policies"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w.-]+)?")
_WHOLE = 64 * 1024 * 1024
_SAMPLE = 4 * 1024 * 1024


class JudgeCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`rprm_judge.json` in a judge's folder: its family, prompt file, system message and own sampling defaults.

    `family` is a family's name, or an object that says which one it is like and what differs.
    """

    family: str | dict[str, Any] | None = None
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
    family: Family = RPRM

    def asked_with(self, prompt: Path | None, system_prompt: str | None) -> PromptTemplate:
        """The template of a prompt file, else the judge's own, with this system message where one is given."""
        template = PromptTemplate.load(prompt) if prompt else self.template
        return template if system_prompt is None else template.with_system(system_prompt)

    @property
    def identity(self) -> str:
        """What a worker serves: the fingerprint, and of another family than R-PRM's the family too.

        The same weights then answer another question.
        """
        if self.family.digest == RPRM.digest:
            return self.fingerprint
        return hashlib.sha256(f"{self.fingerprint}:{self.family.digest}".encode()).hexdigest()

    @property
    def queue(self) -> str:
        """The Redis queue of this judge: readable name and the first digits of its identity."""
        slug = re.sub(r"[^a-z0-9]+", "-", self.name.partition("@")[0].lower()).strip("-")[-40:]
        return f"rprm.{slug}.{self.identity[:12]}"

    @property
    def served_as(self) -> str | None:
        """The model's name at the server that alone has it, as in `endpoint:MODEL`; None for a judge with weights."""
        return self.location.removeprefix(ENDPOINT) if self.location.startswith(ENDPOINT) else None


def shipped_judges() -> list[str]:
    """Names of the judges inside the package, and the scripted one."""
    root = Path(str(files("rprm_jobs"))) / "judges"
    names = sorted(p.name for p in root.iterdir() if (p / "config.json").is_file()) if root.is_dir() else []
    return [*names, SCRIPTED]


def resolve_judge(name: str, family: str | None = None) -> Judge:
    """Find the judge. Raises NotFound for an unknown name, JudgeError for a folder that holds no judge, or a policy.

    Its family is what `family` says (`NAME` or `NAME,KEY=VALUE,...`), else what its folder says, else the one that its
    name and architecture belong to, else R-PRM's. Raises ConfigError for an unknown family.

    A hub id is pinned to the commit that it stands for now, which its `name` then holds: `org/model@COMMIT`. Of
    `endpoint:MODEL` the server alone knows the weights: no hub is asked, and the name is all that tells two apart.
    """
    if re.fullmatch(r"[\w-]+", name) and (_POLICIES / name / "config.json").is_file():
        raise JudgeError(f"{name} is a policy: it writes solutions and judges none", hint="name a judge: --judge tiny")
    judge = resolve_model(name, None if family is None else find_family(family), recognised=True)
    folder = Path(judge.location)
    if (folder / POLICY_CARD).is_file() and not (folder / JUDGE_CARD).is_file():
        raise JudgeError(f"{name} is a policy: it writes solutions and judges none", hint="name a judge: --judge tiny")
    return judge


def resolve_model(name: str, family: Family | None = None, *, recognised: bool = False) -> Judge:
    """Find a model that judges or writes solutions. Raises as `resolve_judge`.

    A judge of no named `family` is `recognised`; a model that writes solutions is not, and stays of R-PRM's.
    """
    family = family if family is not None or recognised else RPRM
    if name == SCRIPTED:
        return _elsewhere(name, SCRIPTED, None, "scripted/1", family or RPRM)
    if name.startswith(ENDPOINT) and name.removeprefix(ENDPOINT).strip():
        return _elsewhere(name, name, None, name, family or RPRM)
    shipped = Path(str(files("rprm_jobs"))) / "judges" / name
    if re.fullmatch(r"[\w-]+", name) and (shipped / "config.json").is_file():
        return _from_folder(name, shipped, family)
    if Path(name).expanduser().is_dir():
        folder = Path(name).expanduser().resolve()
        return _from_folder(folder.name, folder, family)
    if _HUB_ID.fullmatch(name) and not name.startswith((".", "/")):
        repo, _, revision = name.partition("@")
        commit = pin(repo, revision or None)
        family = family or _family_on_hub(repo, commit)
        return _elsewhere(f"{repo}@{commit}", repo, commit, f"hub:{repo}@{commit}", family)
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


def _elsewhere(name: str, location: str, commit: str | None, identity: str, family: Family) -> Judge:
    digest = hashlib.sha256(identity.encode()).hexdigest()
    return Judge(name, location, commit, _prompt_of(family), family.default_sampling, digest, family)


def _family_on_hub(repo: str, commit: str) -> Family:
    """The family of a hub's model by its name, else by its architecture where the hub tells it. Raises JudgeError."""
    family = recognise(repo, None)
    if family is not None:
        return family
    architectures = architectures_of(repo, commit)
    family = recognise(repo, architectures)
    if family is None:
        check_family(RPRM, architectures, repo)
    return family or RPRM


def _from_folder(name: str, folder: Path, family: Family | None) -> Judge:
    check_files(folder)
    card = _read_card(folder / JUDGE_CARD)
    family = family or _family_of(folder, card)
    if family.writes:
        check_writes(folder)
    else:
        check_family(family, architectures_in(folder), str(folder))
    template = PromptTemplate.load(folder / card.prompt) if card.prompt else _prompt_of(family)
    if not family.fits(template):
        # Asked as a judge of another family than its card is for: with that family's prompt and sampling.
        template, card = _prompt_of(family), JudgeCard()
    template = template if card.system_prompt is None else template.with_system(card.system_prompt)
    own = {k: v for k in ("temperature", "top_p", "max_new_tokens") if (v := getattr(card, k)) is not None}
    sampling = replace(family.default_sampling, **own)
    return Judge(name, str(folder), None, template, sampling, fingerprint_folder(folder), family)


def _prompt_of(family: Family) -> PromptTemplate:
    return PromptTemplate.shipped(family.prompt_name)


def _family_of(folder: Path, card: JudgeCard) -> Family:
    """The family that the folder's card names, else the one that its name and architecture belong to, or R-PRM's."""
    if card.family is not None:
        return own_family(card.family, where=str(folder / JUDGE_CARD))
    return recognise(repo_of_snapshot(folder) or folder.name, architectures_in(folder) or []) or RPRM


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
    return path.is_file() and (path.name in names or path.suffix in WEIGHTS)


def _digest_file(file: Any, size: int, digest: Any) -> None:
    if size <= _WHOLE:
        digest.update(file.read())
        return
    for i in range(16):
        file.seek((size - _SAMPLE) * i // 15)
        digest.update(file.read(_SAMPLE))
