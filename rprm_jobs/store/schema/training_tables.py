"""The tables of training: sets with their rows, and runs with their metrics. Migrations build them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB

from rprm_jobs.store.schema.metadata import NOW, TIME, metadata

training_sets = Table(
    "training_sets",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("rules", JSONB, nullable=False),
    Column("rules_digest", Text, nullable=False),
    # The judge prompt that training shows.
    Column("prompt", Text, nullable=False),
    # Of rules, prompt and all candidate rows with their texts: equal digests mean equal rows.
    Column("digest", Text, nullable=False),
    Column("counts", JSONB, nullable=False),
    Column("n_train", Integer, nullable=False),
    Column("n_validation", Integer, nullable=False),
    Column("created_at", TIME, nullable=False, server_default=NOW),
    CheckConstraint("kind IN ('pairs', 'sft')", name="kind"),
)

# No cascade from jobs: the rows of a set are places in the critiques of its jobs, which therefore stay.
training_set_jobs = Table(
    "training_set_jobs",
    metadata,
    Column("set_id", BigInteger, ForeignKey("training_sets.id", ondelete="CASCADE"), nullable=False),
    Column("job_id", BigInteger, ForeignKey("jobs.id"), nullable=False),
    Column("place", Integer, nullable=False),
    # Solutions that had an outcome when the set was built.
    Column("n_outcomes", Integer, nullable=False),
    PrimaryKeyConstraint("set_id", "job_id"),
    Index("ix_training_set_jobs_job_id", "job_id"),
)

training_rows = Table(
    "training_rows",
    metadata,
    Column("set_id", BigInteger, nullable=False),
    Column("validation", Boolean, nullable=False),
    # From 0 within each split, in the seeded order in which training reads.
    Column("position", Integer, nullable=False),
    Column("job_id", BigInteger, nullable=False),
    Column("ord", Integer, nullable=False),
    Column("step", SmallInteger, nullable=False),
    # The label that the chosen critique agrees with.
    Column("correct", Boolean, nullable=False),
    # The k of the critiques; `rejected` is NULL in a set of single ones.
    Column("chosen", SmallInteger, nullable=False),
    Column("rejected", SmallInteger),
    Column("problem", BigInteger, nullable=False),
    PrimaryKeyConstraint("validation", "position", "set_id"),
    postgresql_partition_by="LIST (set_id)",
)

training_runs = Table(
    "training_runs",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("phase", Text, nullable=False),
    # `running` covers one that was killed as well: `seen_at` stands still then.
    Column("state", Text, nullable=False),
    # The judge it started from.
    Column("judge", Text, nullable=False),
    Column("judge_digest", Text, nullable=False),
    # A set's name or a path, and the digest of what it held.
    Column("data", Text, nullable=False),
    Column("data_digest", Text, nullable=False),
    Column("recipe", JSONB, nullable=False),
    Column("total_steps", Integer, nullable=False),
    Column("n_train", Integer, nullable=False),
    Column("n_validation", Integer, nullable=False),
    # The new judge's folder, on the machine where it was trained.
    Column("host", Text, nullable=False),
    Column("folder", Text, nullable=False),
    Column("error", Text),
    Column("started_at", TIME, nullable=False, server_default=NOW),
    Column("seen_at", TIME, nullable=False, server_default=NOW),
    Column("finished_at", TIME),
    CheckConstraint("phase IN ('sft', 'dpo')", name="phase"),
    CheckConstraint("state IN ('running', 'done', 'failed')", name="state"),
    UniqueConstraint("host", "folder"),
)

training_metrics = Table(
    "training_metrics",
    metadata,
    Column("run_id", BigInteger, ForeignKey("training_runs.id", ondelete="CASCADE"), nullable=False),
    Column("step", Integer, nullable=False),
    # Of the validation split, or of training itself.
    Column("validation", Boolean, nullable=False),
    Column("metrics", JSONB, nullable=False),
    Column("recorded_at", TIME, nullable=False, server_default=NOW),
    PrimaryKeyConstraint("run_id", "step", "validation"),
)
