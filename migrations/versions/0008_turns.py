"""Claims that go from one waiting job to the next find it along an index."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX ix_shards_in_turn ON shards (queue, job_id, id) WHERE state = 'ready'")


def downgrade() -> None:
    raise RuntimeError("migrations only go forward: restore a dump to go back")
