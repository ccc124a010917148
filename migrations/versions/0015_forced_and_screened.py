"""Verdicts that a judge was made to give, and what a screen said of a solution's steps before it was judged."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

STATEMENTS = [
    "ALTER TABLE verdicts ADD COLUMN forced BOOLEAN NOT NULL DEFAULT false",
    "ALTER TABLE solutions ADD COLUMN screen DOUBLE PRECISION[]",
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("migrations only go forward: restore a dump to go back")
