"""Alembic's entry: runs on the connection that `rprm_jobs.store.schema.migrations` hands it, in one transaction."""

from typing import Any

from alembic import context

from rprm_jobs.store.schema.migrations import METADATA, is_ours


def run() -> None:
    connection: Any = context.config.attributes["connection"]
    context.configure(connection=connection, target_metadata=METADATA, include_object=is_ours)
    with context.begin_transaction():
        context.run_migrations()


run()
