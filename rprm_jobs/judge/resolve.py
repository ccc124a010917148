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

from rprm_jobs.errors import JudgeError, NotFound
from rprm_jobs.judge.adapter import HUB_ID, Adapter, read_adapter
from rprm_jobs.judge.architecture import architectures_in, check_family, check_writes
from rprm_jobs.judge.card import JUDGE_CARD, POLICY_CARD, JudgeCard, read_card
from rprm_jobs.judge.families.family import Family
from rprm_jobs.judge.families.rprm import RPRM
from rprm_jobs.judge.families.table import find_family, own_family, recognise
from rprm_jobs.judge.fingerprint import fingerprint_folder
from rprm_jobs.judge.folder import MERGE, check_files, is_adapter
from rprm_jobs.judge.hub import architectures_of, pin, repo_of_snapshot
from rprm_jobs.judge.prompt import PromptTemplate
from rprm_jobs.types import Sampling

SCRIPTED = "scripted"
ENDPOINT = "endpoint:"
_POLICIES = Path(str(files("rprm_jobs"))) / "policies"


@dataclass(frozen=True, slots=True)
class Judge:
    """A judge as both sides of the queue know it. `location` is a folder, a hub id, "endpoint:MODEL" or "scripted".

    With `adapter`, the absolute folder of a LoRA adapter, it is what `location` holds with that adapter added.
    """

    name: str
    location: str
    revision: str | None
    template: PromptTemplate
    sampling: Sampling
    fingerprint: str
    family: Family = RPRM
    adapter: str | None = None

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
    def home(self) -> str:
        """Where it is found again: the adapter's folder if it is one, else its location."""
        return self.adapter or self.location

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
    folder = card_folder(judge)
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
        if is_adapter(folder):
            return _from_adapter(folder, family, recognised)
        return _from_folder(folder.name, folder, family)
    if HUB_ID.fullmatch(name) and not name.startswith((".", "/")):
        repo, _, revision = name.partition("@")
        commit = pin(repo, revision or None)
        family = family or _family_on_hub(repo, commit)
        return _elsewhere(f"{repo}@{commit}", repo, commit, f"hub:{repo}@{commit}", family)
    raise NotFound(
        f"unknown judge {name!r}",
        hint=f"name a shipped judge ({', '.join(shipped_judges())}), a model folder, a hub id org/model[@revision], "
        f"or {ENDPOINT}MODEL for what a server has",
    )


def card_folder(model: Judge) -> Path:
    """The folder whose cards count: an adapter's own where it has one, else that of the model."""
    own = Path(model.home)
    return own if any((own / card).is_file() for card in (JUDGE_CARD, POLICY_CARD)) else Path(model.location)


def check_has_weights(judge: Judge) -> None:
    """Raise JudgeError for a judge that is no model here or on a hub: the scripted one, and what a server has."""
    if judge.location == SCRIPTED or judge.served_as is not None:
        raise JudgeError(
            "its weights are needed, and it has none here", where=judge.name, hint="name a model's folder or a hub id"
        )


def check_trainable(judge: Judge) -> None:
    """Raise JudgeError for a judge that training cannot begin from: one without weights here, and an adapter."""
    check_has_weights(judge)
    if judge.adapter is not None:
        raise JudgeError("training begins from a whole model, and it is an adapter", where=judge.adapter, hint=MERGE)


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
    card = read_card(folder / JUDGE_CARD)
    family = family or _family_of(folder, card)
    if family.writes:
        check_writes(folder)
    else:
        check_family(family, architectures_in(folder), str(folder))
    template, sampling = _asked(folder, card, family, _prompt_of(family), family.default_sampling)
    return Judge(name, str(folder), None, template, sampling, fingerprint_folder(folder), family)


def _from_adapter(folder: Path, family: Family | None, recognised: bool) -> Judge:
    """Its base, with the adapter's folder, name and fingerprint, and what the adapter's own card says."""
    adapter, card = read_adapter(folder), read_card(folder / JUDGE_CARD)
    if family is None and card.family is not None:
        family = own_family(card.family, where=str(folder / JUDGE_CARD))
    base = _base_of(adapter, family, recognised)
    if not base.family.writes:
        raise JudgeError(
            f"it is an adapter, and adapters are only for judges that write: family {base.family.name} scores",
            where=str(folder),
            hint=MERGE,
        )
    template, sampling = _asked(folder, card, base.family, base.template, base.sampling)
    return replace(
        base, name=adapter.name, template=template, sampling=sampling, adapter=str(folder),
        fingerprint=adapter.fingerprint(base.fingerprint),
    )  # fmt: skip


def _base_of(adapter: Adapter, family: Family | None, recognised: bool) -> Judge:
    try:
        return resolve_model(adapter.base(), family, recognised=recognised)
    except (JudgeError, NotFound) as error:
        where = f"{error.where}, the base of {adapter.folder}" if error.where else str(adapter.folder)
        raise JudgeError(error.what, where=where, hint=error.hint) from error


def _asked(
    folder: Path, card: JudgeCard, family: Family, template: PromptTemplate, sampling: Sampling
) -> tuple[PromptTemplate, Sampling]:
    """How the card says that the model is asked; `template` and `sampling` where it says nothing."""
    own_template = PromptTemplate.load(folder / card.prompt) if card.prompt else template
    if not family.fits(own_template):
        # Asked as a judge of another family than its card is for: with that family's prompt and sampling.
        return template, sampling
    if card.system_prompt is not None:
        own_template = own_template.with_system(card.system_prompt)
    own = {k: v for k in ("temperature", "top_p", "max_new_tokens") if (v := getattr(card, k)) is not None}
    return own_template, replace(sampling, **own)


def _prompt_of(family: Family) -> PromptTemplate:
    return PromptTemplate.shipped(family.prompt_name)


def _family_of(folder: Path, card: JudgeCard) -> Family:
    """The family that the folder's card names, else the one that its name and architecture belong to, or R-PRM's."""
    if card.family is not None:
        return own_family(card.family, where=str(folder / JUDGE_CARD))
    return recognise(repo_of_snapshot(folder) or folder.name, architectures_in(folder) or []) or RPRM
