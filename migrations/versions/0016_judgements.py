"""Judgements by key, so that none is sampled twice, and what of a job's critiques was reused."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

STATEMENTS = [
    """
    CREATE TABLE judgements (
        key UUID NOT NULL,
        job_id BIGINT NOT NULL,
        ord INTEGER NOT NULL,
        step SMALLINT NOT NULL,
        n SMALLINT NOT NULL
    )
    """,
    "CREATE INDEX ix_judgements_key ON judgements (key)",
    "CREATE INDEX ix_judgements_job_id ON judgements USING brin (job_id)",
    "ALTER TABLE jobs ADD COLUMN reuse BOOLEAN DEFAULT true NOT NULL",
    # Columns without a default, or with a constant one: no partition is rewritten.
    "ALTER TABLE scores ADD COLUMN step_keys BYTEA, ADD COLUMN reused_per_step SMALLINT[]",
    "ALTER TABLE verdicts ADD COLUMN reused BOOLEAN DEFAULT false NOT NULL",
    "ALTER TABLE shards ADD COLUMN critiques_reused INTEGER DEFAULT 0 NOT NULL,"
    " ADD COLUMN tokens_reused BIGINT DEFAULT 0 NOT NULL",
    # Roles that were set up before: whoever may write or read shards may do so here.
    """
    DO $$
    DECLARE role record;
    BEGIN
      FOR role IN
        SELECT quote_ident(r.rolname) AS name, bool_or(a.privilege_type = 'INSERT') AS writes
        FROM pg_class AS c CROSS JOIN aclexplode(c.relacl) AS a JOIN pg_roles AS r ON r.oid = a.grantee
        WHERE c.oid = 'shards'::regclass AND a.grantee <> c.relowner AND a.privilege_type IN ('INSERT', 'SELECT')
        GROUP BY r.rolname
      LOOP
        EXECUTE format('GRANT SELECT ON judgements TO %s', role.name);
        IF role.writes THEN
          EXECUTE format('GRANT INSERT ON judgements TO %s', role.name);
        END IF;
      END LOOP;
    END $$
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("migrations only go forward: restore a dump to go back")
