"""A worker that is alive holds a lock of its own connection, and its entry names the lock."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE workers ADD COLUMN lock_key BIGINT")


def downgrade() -> None:
    raise RuntimeError("migrations only go forward: restore a dump to go back")
