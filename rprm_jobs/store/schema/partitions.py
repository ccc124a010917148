"""The partitions of one job: created bare so that COPY is fast, attached when the job becomes visible, dropped whole.

Hot statements name the partition itself, so that no plan ever looks at the partitions of other jobs.
"""

from __future__ import annotations

from sqlalchemy import Table, text
from sqlalchemy.engine import Connection
from sqlalchemy.schema import CreateColumn

from rprm_jobs.store.schema.tables import BULK, critiques, responses, solutions
from rprm_jobs.types import JobKind


def partition(table: str, job_id: int) -> str:
    """The name of `table`'s partition for this job."""
    return f"{table}_j{int(job_id)}"


def tables_of(kind: JobKind) -> tuple[Table, ...]:
    """What a job of this kind has a partition of."""
    return (*BULK, responses) if kind.writes else BULK


def create_bare(connection: Connection, job_id: int, kind: JobKind = JobKind.SCORE) -> None:
    """Tables for the job, seen by nobody until they are attached. Only `solutions` still lacks its indexes."""
    for table in tables_of(kind):
        create_table(connection, table, job_id)
        if table is not solutions:
            index_primary(connection, table, job_id)


def create_table(connection: Connection, table: Table, job_id: int) -> None:
    """One bare table. Not LIKE its parent: that lock, held while a file is read, would keep every delete waiting."""
    child = partition(table.name, job_id)
    create_child(connection, table, child, f"job_id = {int(job_id)}")
    if table is critiques:
        # The blobs are zstd already.
        connection.execute(text(f"ALTER TABLE {child} ALTER COLUMN texts SET STORAGE EXTERNAL"))


def create_child(connection: Connection, table: Table, child: str, holds: str) -> None:
    """A bare table with the columns of `table`, for the rows of which `holds` is true."""
    columns = ", ".join(str(CreateColumn(column).compile(dialect=connection.dialect)) for column in table.columns)
    connection.execute(text(f"CREATE TABLE {child} ({columns}, CHECK ({holds}))"))
    _grant_as_on(connection, table.name, child)


def _grant_as_on(connection: Connection, table: str, child: str) -> None:
    """Whoever may use the table may use the partition: statements name it, and Postgres then looks at it alone."""
    granted = text(
        """
        SELECT a.privilege_type, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END AS grantee
        FROM pg_class AS c CROSS JOIN aclexplode(c.relacl) AS a LEFT JOIN pg_roles AS r ON r.oid = a.grantee
        WHERE c.oid = CAST(:table AS regclass) AND a.grantee <> c.relowner"""
    )
    for row in connection.execute(granted, {"table": table}).all():
        connection.execute(text(f"GRANT {row.privilege_type} ON {child} TO {row.grantee}"))


def index_primary(connection: Connection, table: Table, job_id: int) -> None:
    """The primary key; of `solutions` after the load, a third of the work of keeping it during the load."""
    index_child(connection, table, partition(table.name, job_id))


def index_child(connection: Connection, table: Table, child: str) -> None:
    """The primary key of one partition."""
    key = ", ".join(column.name for column in table.primary_key.columns)
    connection.execute(text(f"ALTER TABLE {child} ADD CONSTRAINT pk_{child} PRIMARY KEY ({key})"))


def forbid_repeated_ids(connection: Connection, job_id: int) -> None:
    """The unique index that decides whether an id is repeated; raises the driver's UniqueViolation."""
    child = partition("solutions", job_id)
    connection.execute(text(f"ALTER TABLE {child} ADD CONSTRAINT uq_{child}_id UNIQUE (ext_id, job_id)"))


def attach(connection: Connection, job_id: int, kind: JobKind = JobKind.SCORE) -> None:
    """Make the job's rows part of the parent tables. The CHECK above spares Postgres a scan."""
    for table in tables_of(kind):
        child = partition(table.name, job_id)
        connection.execute(text(f"ALTER TABLE {table.name} ATTACH PARTITION {child} FOR VALUES IN ({int(job_id)})"))


def drop(connection: Connection, job_id: int) -> None:
    """Drop everything large of the job."""
    for table in (*BULK, responses):
        drop_child(connection, partition(table.name, job_id))


def drop_child(connection: Connection, child: str) -> None:
    """Drop one partition with its rows."""
    connection.execute(text(f"DROP TABLE IF EXISTS {child}"))
