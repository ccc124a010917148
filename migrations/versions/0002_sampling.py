"""Jobs that judge only some steps, and what training needs to know of each critique, beside its text."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = [
    "ALTER TABLE solutions ADD COLUMN judge_steps SMALLINT[]",
    "ALTER TABLE critiques ADD COLUMN readings BYTEA",
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("migrations only go forward: restore a dump to go back")
