"""Plans of the `planned` sampling policy, and by which of them a solution was judged."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS = [
    """
    CREATE TABLE plans (
        job_id BIGINT NOT NULL,
        version SMALLINT NOT NULL,
        steps BIGINT NOT NULL,
        prior DOUBLE PRECISION[] NOT NULL,
        wrong DOUBLE PRECISION[],
        made_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_plans PRIMARY KEY (job_id, version),
        CONSTRAINT fk_plans_job_id FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
    )
    """,
    # A column without a default: no partition is rewritten.
    "ALTER TABLE scores ADD COLUMN plan SMALLINT",
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("migrations only go forward: restore a dump to go back")
