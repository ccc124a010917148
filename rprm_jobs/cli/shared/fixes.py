"""What `doctor --fix` puts right: servers that are down, a schema of an older version, and old logs."""

from __future__ import annotations

from collections.abc import Iterator

from rprm_jobs.words import counted


def fixed() -> Iterator[str]:
    """Put right what can be, and say each thing that was. Raises RprmError where one cannot be."""
    from rprm_jobs.launch.logs import log_folder, tidy_logs
    from rprm_jobs.launch.servers import connected
    from rprm_jobs.local import running_urls
    from rprm_jobs.services.context import upgrade_schema
    from rprm_jobs.settings import load_settings

    settings = load_settings()
    down = [name for name, url in running_urls(settings).items() if url is None]
    # An embedded database is migrated when it is opened, a configured one by `upgrade_schema`.
    with connected(settings, check_schema=False) as context:
        before, after = upgrade_schema(context)
    if down:
        yield f"started {' and '.join(down)}"
    if before != after:
        yield f"upgraded the schema from {before or 'nothing'} to {after}"
    removed = tidy_logs(log_folder(settings))
    if removed:
        yield f"removed {counted(len(removed), 'old log')}"
