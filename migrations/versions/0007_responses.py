"""Jobs that write: what a policy wrote, and score jobs that follow when it is done."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STATEMENTS = [
    "ALTER TABLE jobs ADD COLUMN follow JSONB",
    "ALTER TABLE jobs ADD COLUMN follows BIGINT",
    "CREATE INDEX ix_jobs_follow ON jobs (id) WHERE follow IS NOT NULL",
    """
    CREATE TABLE responses (
        job_id BIGINT NOT NULL,
        ord INTEGER NOT NULL,
        steps JSONB NOT NULL,
        finish TEXT,
        tokens BIGINT NOT NULL,
        answer TEXT,
        rewards FLOAT[],
        tree BYTEA,
        CONSTRAINT pk_responses PRIMARY KEY (ord, job_id)
    ) PARTITION BY LIST (job_id)
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("migrations only go forward: restore a dump to go back")
