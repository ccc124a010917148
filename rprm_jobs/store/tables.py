"""The schema as SQLAlchemy tables; migrations build it, and a test holds the two together.

Everything large is partitioned by job (one partition of each bulk table a job) or by training set, so that deleting
one is a DROP; their keys end in `job_id` (`set_id`), since a partition holds one only. Rows of the hot table, `shards`,
are updated in place (fillfactor 50; `lease_until` and the counters are in no index).
"""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_NOW = text("now()")
_TIME = DateTime(timezone=True)

jobs = Table(
    "jobs",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("kind", Text, nullable=False, server_default="score"),
    Column("recipe", JSONB, nullable=False),
    Column("recipe_digest", Text, nullable=False),
    Column("input_digest", Text, nullable=False),
    # Set while this job is the one that an equal submission finds; a cancelled job or one made by --new has none.
    Column("dedupe_key", Text, unique=True),
    Column("queue", Text, nullable=False),
    Column("judge", Text, nullable=False),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("n_solutions", Integer, nullable=False),
    Column("n_steps", BigInteger, nullable=False),
    Column("keep_critiques", Text, nullable=False),
    Column("sources", JSONB, nullable=False),
    # Whether `ord`, the order of judging, is not the order of the input (see rprm_jobs.store.grouping).
    Column("gathered", Boolean, nullable=False, server_default="false"),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
    Column("cancelled_at", _TIME),
)

shards = Table(
    "shards",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("job_id", BigInteger, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("queue", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("state", Text, nullable=False, server_default="ready"),
    # The solutions with first_ord <= ord <= last_ord.
    Column("first_ord", Integer, nullable=False),
    Column("last_ord", Integer, nullable=False),
    # The fencing token: a write is accepted from the attempt that holds the lease, and from no other.
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("failures", Integer, nullable=False, server_default="0"),
    # Grows with the user's own `retry`; part of the seeds.
    Column("round", Integer, nullable=False, server_default="0"),
    Column("owner", Text),
    Column("lease_until", _TIME),
    Column("rung_at", _TIME),
    Column("claimed_at", _TIME),
    Column("finished_at", _TIME),
    Column("engine", Text),
    Column("error", Text),
    Column("n_ok", Integer, nullable=False, server_default="0"),
    Column("n_failed", Integer, nullable=False, server_default="0"),
    Column("n_quarantined", Integer, nullable=False, server_default="0"),
    Column("steps_done", Integer, nullable=False, server_default="0"),
    Column("critiques_done", Integer, nullable=False, server_default="0"),
    Column("tokens_done", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("state IN ('ready', 'leased', 'done', 'cancelled')", name="state"),
    CheckConstraint("(state = 'leased') = (owner IS NOT NULL AND lease_until IS NOT NULL)", name="lease"),
    CheckConstraint("first_ord <= last_ord", name="range"),
    Index("ix_shards_ready", "queue", text("priority DESC"), "id", postgresql_where=text("state = 'ready'")),
    Index("ix_shards_leased", "id", postgresql_where=text("state = 'leased'")),
    Index("ix_shards_job_id", "job_id", "first_ord"),
    postgresql_with={"fillfactor": "50"},
)

workers = Table(
    "workers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("queue", Text, nullable=False),
    Column("judge", Text, nullable=False),
    Column("engine", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("started_at", _TIME, nullable=False, server_default=_NOW),
    Column("seen_at", _TIME, nullable=False, server_default=_NOW),
    Column("prompt_tokens", BigInteger, nullable=False, server_default="0"),
    Column("generated_tokens", BigInteger, nullable=False, server_default="0"),
    Column("prefix_hit_rate", Float),
    Index("ix_workers_queue", "queue"),
    postgresql_with={"fillfactor": "50"},
)

solutions = Table(
    "solutions",
    metadata,
    Column("job_id", BigInteger, nullable=False),
    Column("ord", Integer, nullable=False),
    Column("ext_id", Text, nullable=False),
    Column("problem", Text, nullable=False),
    Column("steps", JSONB, nullable=False),
    Column("n_steps", Integer, nullable=False),
    Column("label", Integer),
    Column("step_labels", JSONB),
    Column("metadata", JSONB, nullable=False),
    # Where it stood in the input, for messages: an index into jobs.sources and a line that counts from 1.
    Column("source", Integer, nullable=False),
    Column("line", BigInteger, nullable=False),
    # The 0-based steps to be judged, NULL for all.
    Column("judge_steps", ARRAY(SmallInteger)),
    UniqueConstraint("ext_id", "job_id"),
    PrimaryKeyConstraint("ord", "job_id"),
    postgresql_partition_by="LIST (job_id)",
)

scores = Table(
    "scores",
    metadata,
    Column("job_id", BigInteger, nullable=False),
    Column("ord", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("rewards", ARRAY(Float), nullable=False),
    Column("first_error", Integer),
    # NULL for a step that was not to be judged.
    Column("critiques_per_step", ARRAY(SmallInteger), nullable=False),
    # True where some P(Yes) was not told by the engine and a vote stood in for it.
    Column("by_votes", Boolean, nullable=False),
    Column("shard_id", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("recorded_at", _TIME, nullable=False, server_default=_NOW),
    PrimaryKeyConstraint("ord", "job_id"),
    postgresql_partition_by="LIST (job_id)",
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("job_id", BigInteger, nullable=False),
    Column("ord", Integer, nullable=False),
    Column("step", SmallInteger, nullable=False),
    Column("k", SmallInteger, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("p_yes", Float),
    Column("tokens", Integer, nullable=False),
    Column("finish", Text, nullable=False),
    PrimaryKeyConstraint("ord", "step", "k", "job_id"),
    postgresql_partition_by="LIST (job_id)",
)

critiques = Table(
    "critiques",
    metadata,
    Column("job_id", BigInteger, nullable=False),
    Column("ord", Integer, nullable=False),
    # zstd of a JSON list: one entry a step, a list of texts by k, or null where the step's texts were not kept.
    Column("texts", LargeBinary, nullable=False),
    # What training needs to know of each text (rprm_jobs.pairs.reading); NULL in rows of older versions.
    Column("readings", LargeBinary),
    PrimaryKeyConstraint("ord", "job_id"),
    postgresql_partition_by="LIST (job_id)",
)

BULK = (solutions, scores, verdicts, critiques)

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
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
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
