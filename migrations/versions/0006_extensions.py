"""Extending a finished job by more critiques: which extension a shard is in, and of which an outcome is."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# A constant default: no partition is rewritten.
STATEMENTS = [
    "ALTER TABLE shards ADD COLUMN extension SMALLINT DEFAULT 0 NOT NULL",
    "ALTER TABLE scores ADD COLUMN extension SMALLINT DEFAULT 0 NOT NULL",
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("migrations only go forward: restore a dump to go back")
