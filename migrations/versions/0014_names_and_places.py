"""Jobs have a name and know the folders of their models; workers know where their log is."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE jobs ADD COLUMN name TEXT")
    op.execute("ALTER TABLE jobs ADD COLUMN model_paths JSONB")
    op.execute("ALTER TABLE workers ADD COLUMN log TEXT")


def downgrade() -> None:
    raise RuntimeError("migrations only go forward: restore a dump to go back")
