"""Pins a hub's model to a commit: a branch moves on, and a job must keep its judge."""

from __future__ import annotations

import json
import re
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from rprm_jobs.errors import JudgeError

_COMMIT = re.compile(r"[0-9a-f]{40}")
_TIMEOUT_S = 10.0
# A hub that cannot be reached must not keep anyone waiting; one that can may take its time to answer.
_CONNECT_S = 1.5


def pin(repo: str, revision: str | None = None) -> str:
    """The commit (40 hexadecimal digits) that `revision` of the model `repo` is now; its main branch where None.

    Asks the hub; where it does not answer, the commit that this machine loaded last counts. Raises JudgeError when the
    hub knows no such model or revision, and when neither names a commit.
    """
    if revision is not None and _COMMIT.fullmatch(revision):
        return revision
    named = repo if revision is None else f"{repo}@{revision}"
    hint = f"name its commit, {repo}@COMMIT with 40 hexadecimal digits, or a folder that holds the model"
    try:
        commit = _ask(repo, revision) or _remembered(repo, revision or "main")
    except ImportError as error:
        raise JudgeError(
            "this installation cannot ask the hub which commit that is",
            where=named,
            hint=f"pip install 'rprm-jobs[hub]', or {hint}",
        ) from error
    if commit is None:
        raise JudgeError(
            "the hub cannot be reached or does not know which commit that is, and it was never loaded here",
            where=named,
            hint=f"{hint}; what only a server has is endpoint:{repo}",
        )
    return commit


def architectures_of(repo: str, commit: str) -> list[str] | None:
    """The architectures of the model by the hub, or by what this machine has loaded of it; None where neither tells.

    What a worker loads is checked again, so an answer that fails to come only delays a refusal.
    """
    try:
        from huggingface_hub import HfApi, try_to_load_from_cache
    except ImportError:
        return None
    config: Any = None
    path = try_to_load_from_cache(repo, "config.json", revision=commit)
    try:
        if isinstance(path, str):
            config = json.loads(Path(path).read_text(encoding="utf-8"))
        elif _answers():
            config = HfApi().model_info(repo, revision=commit, timeout=_TIMEOUT_S).config
    except _unreachable():
        return None
    except ValueError:
        return None
    names = config.get("architectures") if isinstance(config, dict) else None
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else None


def brief(name: str) -> str:
    """A model's name for a table: of a commit the first seven digits."""
    model, _, revision = name.partition("@")
    return f"{model}@{revision[:7]}" if _COMMIT.fullmatch(revision) else name


def _ask(repo: str, revision: str | None) -> str | None:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # exported lazily

    try:
        validate_repo_id(repo)
        if not _answers():
            return None
        return HfApi().model_info(repo, revision=revision, timeout=_TIMEOUT_S).sha
    except HFValidationError as error:
        raise JudgeError(f"neither a folder nor a name on a hub: {error}", hint="correct the name") from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise JudgeError(
            f"the hub has no such {'model' if isinstance(error, RepositoryNotFoundError) else 'revision'}",
            where=repo if revision is None else f"{repo}@{revision}",
            hint=f"correct the name; of a private model, set HF_TOKEN; what only a server has is endpoint:{repo}",
        ) from error
    except _unreachable():
        return None


def _unreachable() -> tuple[type[Exception], ...]:
    """OSError, and the base class of all errors of the hub's HTTP library, which differs from release to release."""
    from huggingface_hub.errors import HfHubHTTPError

    return cast("tuple[type[Exception], ...]", HfHubHTTPError.__bases__)


def _answers() -> bool:
    """Whether the hub, or the proxy before it, takes a connection within a second and a half. Resolving counts too."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    hub = urlsplit(constants.ENDPOINT)
    proxies = {} if proxy_bypass(hub.hostname or "") else getproxies()
    target = urlsplit(proxies.get(hub.scheme) or proxies.get("all") or constants.ENDPOINT)
    connected: list[bool] = []

    def connect() -> None:
        port = target.port or (443 if target.scheme == "https" else 80)
        with suppress(OSError), socket.create_connection((target.hostname or "", port), _CONNECT_S):
            connected.append(True)

    # A resolver without network takes its own time, and takes no timeout.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(_CONNECT_S)
    return bool(connected)


def _remembered(repo: str, revision: str) -> str | None:
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    path = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo, repo_type="model") / "refs" / revision
    try:
        commit = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return commit if _COMMIT.fullmatch(commit) else None


def repo_of_snapshot(folder: Path) -> str | None:
    """The hub id of a model's folder in the cache of the hub's client, whose own name is a commit; None elsewhere."""
    repo = folder.parent.parent.name
    if folder.parent.name != "snapshots" or not repo.startswith("models--"):
        return None
    return repo.removeprefix("models--").replace("--", "/", 1)
