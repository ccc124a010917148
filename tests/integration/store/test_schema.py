"""Migrations build exactly the schema of the tables module, whoever runs them how often and how many at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from rprm_jobs.errors import ConfigError, SchemaError, StoreUnavailable
from rprm_jobs.services.context import open_context
from rprm_jobs.settings import Settings
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.schema import migrations
from rprm_jobs.store.session import Database
from tests.support.jobs import make_solutions, take_in
from tests.support.store import run

pytestmark = pytest.mark.integration

# Whatever alembic's comparison does not look at.
_CATALOGUE = """
  WITH ours AS (
    SELECT oid, relname, relkind, reloptions FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND relname <> 'alembic_version')
  SELECT concat_ws(' ', 'table', relname, relkind, reloptions) FROM ours
  UNION SELECT concat_ws(' ', relname, conname, pg_get_constraintdef(c.oid)) FROM pg_constraint AS c JOIN ours
    ON conrelid = ours.oid
  UNION SELECT indexdef FROM pg_indexes JOIN ours ON tablename = relname
  UNION SELECT concat_ws(' ', relname, attname, format_type(atttypid, atttypmod), attnotnull, attidentity)
  FROM pg_attribute JOIN ours ON attrelid = ours.oid WHERE attnum > 0"""


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Database]:
    """A database without any schema."""
    opened = Database(empty_database_url)
    yield opened
    opened.close()


def test_migrations_and_tables_are_one_schema(database: Database) -> None:
    take_in(database, make_solutions(3))
    with database.engine.connect() as connection:
        options = {"include_object": migrations.is_ours, "compare_type": True, "compare_server_default": True}
        difference = compare_metadata(MigrationContext.configure(connection, opts=options), migrations.METADATA)
    assert difference == []


def test_constraints_indexes_and_storage_are_one_schema_too(database: Database, empty: Database) -> None:
    migrations.METADATA.create_all(empty.engine)
    migrated, created = ({row[0] for row in run(one, _CATALOGUE)} for one in (database, empty))
    assert migrated == created


def test_compressed_blobs_are_not_compressed_again(database: Database) -> None:
    job = take_in(database, make_solutions(2)).job_id
    query = "SELECT attstorage FROM pg_attribute WHERE attrelid = CAST(:t AS regclass) AND attname = 'texts'"
    for table in ("critiques", f"critiques_j{job}"):
        assert [tuple(row) for row in run(database, query, t=table)] == [("e",)]


def test_an_upgrade_says_from_where_to_where_and_is_harmless_again(empty: Database) -> None:
    head = migrations.head_revision()
    assert migrations.upgrade(empty) == (None, head)
    assert migrations.upgrade(empty) == (head, head)
    assert migrations.current_revision(empty) == head
    migrations.check(empty)


def test_two_upgrades_at_once_wait_for_each_other(empty: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda _: migrations.upgrade(empty), range(4)))
    head = migrations.head_revision()
    assert sorted(outcomes, key=str) == sorted([(None, head), (head, head), (head, head), (head, head)], key=str)


def test_a_newer_schema_is_refused_and_left_alone(database: Database) -> None:
    run(database, "UPDATE alembic_version SET version_num = 'from-the-future'")
    for act in (migrations.check, migrations.upgrade):
        with pytest.raises(SchemaError, match="from-the-future, which this version does not know") as caught:
            act(database)
        assert "newer version" in caught.value.hint
    assert migrations.current_revision(database) == "from-the-future"


def test_an_empty_database_says_how_to_mend_it(empty: Database) -> None:
    with pytest.raises(SchemaError, match="at schema none") as caught:
        migrations.check(empty)
    assert "rprm-jobs db upgrade" in caught.value.hint
    with pytest.raises(SchemaError, match="not this version's") as caught, empty.transaction() as connection:
        jobs.get(connection, 1)
    assert "rprm-jobs db upgrade" in caught.value.hint


def test_a_failing_migration_leaves_nothing(empty: Database) -> None:
    # `shards` is in the way, so the migration fails after it has made `jobs`.
    run(empty, "CREATE TABLE shards (id int)")
    with pytest.raises(Exception, match="shards"):
        migrations.upgrade(empty)
    assert run(empty, "SELECT to_regclass('jobs') AS found")[0].found is None
    assert migrations.current_revision(empty) is None


def test_opening_a_context_checks_servers_and_schema(settings: Settings, empty_database_url: str) -> None:
    with pytest.raises(ConfigError, match="no Postgres"), open_context(replace(settings, database_url=None)):
        pass
    with pytest.raises(SchemaError), open_context(replace(settings, database_url=empty_database_url)):
        pass
    away = replace(settings, database_url="postgresql://u:secret@127.0.0.1:1/d")
    with pytest.raises(StoreUnavailable, match="doctor") as caught, open_context(away):
        pass
    assert "secret" not in str(caught.value)
    with open_context(replace(settings, database_url=empty_database_url), check_schema=False) as context:
        assert migrations.current_revision(context.database) is None


def test_revisions_are_read_off_the_files_as_alembic_reads_them() -> None:
    found = [script.revision for script in ScriptDirectory(str(migrations.migrations())).walk_revisions()]
    assert migrations.revisions() == found[::-1]
    assert len(found) >= 6
