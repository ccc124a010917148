"""One row of `judgements` for a solution, under the key of its first step, in place of one for each step.

Rows of before stay good. Whoever looks up asks for a solution's first key and for the others where that is there, so
solutions whose first step was not judged get a row for it, of no critique.
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

STATEMENTS = [
    "ALTER TABLE judgements ADD COLUMN step_keys BYTEA, ADD COLUMN counts SMALLINT[]",
    # Keys of zeros are none: the solution shares its first step with another of its job, which has the row.
    """
    INSERT INTO judgements (key, job_id, ord, step, n)
    SELECT encode(substring(s.step_keys FROM 1 FOR 16), 'hex')::uuid, s.job_id, s.ord, 0, 0
    FROM scores AS s
    JOIN (SELECT job_id, ord FROM judgements GROUP BY job_id, ord HAVING min(step) > 0) AS j USING (job_id, ord)
    WHERE substring(s.step_keys FROM 1 FOR 16) <> decode(repeat('00', 16), 'hex')
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("migrations only go forward: restore a dump to go back")
