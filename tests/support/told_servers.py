"""The servers that stories of hints ask: a hub, chat servers that each lack something, and our own service."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rprm_jobs.local.binaries import POSTGRES_MAJOR
from rprm_jobs.local.lock import taken
from rprm_jobs.local.paths import locked
from rprm_jobs.server.state import ServiceOptions
from rprm_jobs.services.context import Context
from tests.support.chat_server import GOOD, ChatServer, Write, hang, reply, stumble_over_logprobs
from tests.support.hub import TOKEN, Repo, fake_hub
from tests.support.service import free_port, running_service
from tests.support.serving import serving
from tests.support.told_before import LONG_NAME


async def _few_logprobs(server: ChatServer, writer: Write) -> None:
    refuses = server.requests[-1].get("top_logprobs", 0) > 5
    answer = (400, {"error": {"message": "top_logprobs is over 5"}}) if refuses else (200, GOOD)
    await reply(*answer)(server, writer)


_LACKING: Mapping[str, Callable[[], ChatServer]] = {
    "good": ChatServer,
    "two": lambda: ChatServer(models={"data": [{"id": "a"}, {"id": "b"}]}),
    "unknown": lambda: ChatServer(default=reply(404, {"error": {"message": "no such model"}})),
    "plain": lambda: ChatServer(default=stumble_over_logprobs),
    "few": lambda: ChatServer(default=_few_logprobs),
    "slow": lambda: ChatServer(default=hang),
}


@contextmanager
def answering(context: Context, folder: Path) -> Iterator[Mapping[str, str]]:
    """Their addresses by name, while the block runs."""
    with ExitStack() as stack:
        addresses = {name: stack.enter_context(serving(make())) for name, make in _LACKING.items()}
        hub = stack.enter_context(fake_hub())
        hub.repos["org/public"] = Repo(private=False)
        service = stack.enter_context(
            running_service(context, ServiceOptions(port=free_port(), judges=("scripted",), max_upload=50_000))
        )
        yield {
            **addresses,
            **_homes(folder, stack),
            "hub": f"HF_HUB_OFFLINE=0 HF_ENDPOINT={hub.url} HF_TOKEN={TOKEN}",
            "service": service,
            "port": str(free_port()),
            "long_name": LONG_NAME,
        }


def _homes(folder: Path, stack: ExitStack) -> Mapping[str, str]:
    """Folders of embedded servers: one with data of others, a half made one, and one that another machine holds."""
    homes = {name: folder / name for name in ("home_foreign", "home_empty", "home_held")}
    for home in homes.values():
        with locked(home) as paths:
            paths.make()
        data = paths.postgres / "data"
        data.mkdir()
        if paths.user is not None:
            os.chown(data, paths.user.pw_uid, paths.user.pw_gid)
        if home.name != "home_foreign":
            (data / "PG_VERSION").write_text(f"{POSTGRES_MAJOR}\n")
    for name in ("home_file", "home_deaf"):
        homes[name] = folder / name
        (homes[name] / "embedded").mkdir(parents=True)
    (homes["home_file"] / "embedded").rmdir()
    (homes["home_file"] / "embedded").touch()
    # A server does not start that cannot write its log.
    (homes["home_deaf"] / "embedded" / "redis.log").mkdir()
    for name in ("postgres", "redis"):
        stack.enter_context(taken(paths.base / f"{name}.life", 0))
    return {name: str(home) for name, home in homes.items()}
