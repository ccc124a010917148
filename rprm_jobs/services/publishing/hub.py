"""The upload: one commit to a data set of a hub, with the card and the Parquet files, in place of those before.

The hub's address and token are those of its library (HF_ENDPOINT, HF_TOKEN). Its own library retries.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from rprm_jobs.errors import ConfigError, Conflict, MissingExtra, ServiceError
from rprm_jobs.services.publishing.card import MARK
from rprm_jobs.words import counted

_CARD = "README.md"
_REPO = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, slots=True)
class HubTarget:
    """Where to: `repo` is org/name; `private` asks for a private one; `revision` is a branch, made where it is not."""

    repo: str
    private: bool = False
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """The commit. `card_kept`: there is a card of the user's own, which was left as it is."""

    url: str
    commit: str
    card_kept: bool


def upload(folder: Path, target: HubTarget) -> Upload:
    """Commit the folder's card and `data/`; Parquet files of `data/` that it does not have are removed.

    Raises MissingExtra, ConfigError for what the hub refuses, Conflict where a private data set is asked for and a
    public one is there, and ServiceError where no hub answers.
    """
    try:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
    except ImportError as error:
        raise MissingExtra("pushing needs huggingface_hub", hint="pip install 'rprm-jobs[hub]'") from error
    if not _REPO.fullmatch(target.repo):
        raise ConfigError(f"{target.repo!r} is no name of a data set", hint="write --to ORG/NAME")
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), library_name="rprm-jobs")
    with _as_our_errors(target):
        api.create_repo(target.repo, repo_type="dataset", private=target.private or None, exist_ok=True)
        if target.private and not api.dataset_info(target.repo).private:
            raise Conflict(
                f"{target.repo} is there and is public", hint="make it private on the hub, or name another --to"
            )
        if target.revision is not None:
            api.create_branch(target.repo, branch=target.revision, repo_type="dataset", exist_ok=True)
        before = set(api.list_repo_files(target.repo, revision=target.revision, repo_type="dataset"))
        card_kept = _CARD in before and MARK not in _read_card(api, target)
        new = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        if card_kept:
            del new[_CARD]
        stale = [name for name in before - set(new) if name.startswith("data/") and name.endswith(".parquet")]
        operations: list[CommitOperationAdd | CommitOperationDelete]
        operations = [CommitOperationAdd(name, path) for name, path in new.items()]
        operations += [CommitOperationDelete(name) for name in sorted(stale)]
        commit = api.create_commit(
            target.repo,
            operations,
            commit_message=f"Rows and card by rprm-jobs: {counted(len(new), 'file')}",
            repo_type="dataset",
            revision=target.revision,
        )
    return Upload(f"{api.endpoint}/datasets/{target.repo}", commit.oid, card_kept)


def _read_card(api: Any, target: HubTarget) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = api.hf_hub_download(target.repo, _CARD, repo_type="dataset", revision=target.revision, local_dir=folder)
        return Path(path).read_text(encoding="utf-8", errors="replace")


@contextmanager
def _as_our_errors(target: HubTarget) -> Iterator[None]:
    """The hub's errors as ours."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

    # OSError, and the base class of all errors of the hub's HTTP library, which differs from release to release.
    unreachable = cast("tuple[type[Exception], ...]", HfHubHTTPError.__bases__)
    login = "set HF_TOKEN to a token that may write there, or: hf auth login"
    try:
        yield
    except HFValidationError as error:
        raise ConfigError(f"--to {target.repo} is no name on a hub: {error}", hint="use --to org/name") from error
    except LocalTokenNotFoundError as error:
        raise ConfigError("there is no token for the hub", hint=login) from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        if status is not None and status < 500:
            hint = login if status in (401, 403, 404) else "correct the name, the revision or the card"
            raise ConfigError(
                f"the hub refuses ({status}): {_first_line(error)}", where=target.repo, hint=hint
            ) from error
        raise ServiceError(
            f"the hub failed: {_first_line(error)}", where=target.repo, hint="push again; nothing was committed"
        ) from error
    except unreachable as error:
        raise ServiceError(
            f"the hub does not answer: {_first_line(error)}",
            where=target.repo,
            hint="check HF_ENDPOINT and the network",
        ) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
