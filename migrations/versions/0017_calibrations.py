"""Calibrations: what was learned of rewards from labelled jobs, by name."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

STATEMENTS = [
    """
    CREATE TABLE calibrations (
        name TEXT NOT NULL,
        model JSONB NOT NULL,
        sources TEXT[] NOT NULL,
        made_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_calibrations PRIMARY KEY (name)
    )
    """,
    # Roles that were set up before: whoever may read jobs may read these.
    """
    DO $$
    DECLARE role record;
    BEGIN
      FOR role IN
        SELECT DISTINCT quote_ident(r.rolname) AS name
        FROM pg_class AS c CROSS JOIN aclexplode(c.relacl) AS a JOIN pg_roles AS r ON r.oid = a.grantee
        WHERE c.oid = 'jobs'::regclass AND a.grantee <> c.relowner AND a.privilege_type = 'SELECT'
      LOOP
        EXECUTE format('GRANT SELECT ON calibrations TO %s', role.name);
      END LOOP;
    END $$
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("migrations only go forward: restore a dump to go back")
