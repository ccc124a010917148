"""Plans by context: a prior for each cell of a step's context beside that of all steps. NULL in plans of before."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE plans ADD COLUMN priors DOUBLE PRECISION[]")


def downgrade() -> None:
    raise RuntimeError("migrations only go forward: restore a dump to go back")
