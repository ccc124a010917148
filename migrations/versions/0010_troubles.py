"""A worker's heartbeat says what the worker cannot do, and when it last swept."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE workers ADD COLUMN swept_at TIMESTAMP WITH TIME ZONE")
    op.execute("ALTER TABLE workers ADD COLUMN trouble TEXT")
    op.execute("ALTER TABLE workers ADD COLUMN trouble_since TIMESTAMP WITH TIME ZONE")


def downgrade() -> None:
    raise RuntimeError("migrations only go forward: restore a dump to go back")
