"""The schema as SQLAlchemy tables; migrations build it, and a test holds the two together.

Everything large is partitioned by job (one partition of each bulk table a job) or by training set, so that deleting
one is a DROP; their keys end in `job_id` (`set_id`). Rows of the hot table, `shards`, are updated in place.
"""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from rprm_jobs.store.schema.metadata import NOW, TIME, metadata

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
    # Whether `ord`, the order of judging, is not the order of the input (see rprm_jobs.store.jobs.grouping).
    Column("gathered", Boolean, nullable=False, server_default="false"),
    Column("created_at", TIME, nullable=False, server_default=NOW),
    Column("cancelled_at", TIME),
    # The job to create from this one's solutions, and the one it depends on: rprm_jobs.store.queue.dependents.
    Column("follow", JSONB),
    Column("follows", BigInteger),
    # The last extension, and what the job had before it: rprm_jobs.store.records.Extension. NULL: never extended.
    Column("extension", JSONB),
    # What the user calls it; not unique.
    Column("name", Text),
    # The folders of its models where it was submitted, by "judge" and "policy"; NULL for a job of an older version.
    Column("model_paths", JSONB),
    # Whether judgements that the store has are taken (rprm_jobs.store.results.judgements).
    Column("reuse", Boolean, nullable=False, server_default="true"),
    Index("ix_jobs_follow", "id", postgresql_where=text("follow IS NOT NULL")),
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
    Column("lease_until", TIME),
    Column("rung_at", TIME),
    Column("claimed_at", TIME),
    Column("finished_at", TIME),
    Column("engine", Text),
    Column("error", Text),
    Column("n_ok", Integer, nullable=False, server_default="0"),
    Column("n_failed", Integer, nullable=False, server_default="0"),
    Column("n_quarantined", Integer, nullable=False, server_default="0"),
    Column("steps_done", Integer, nullable=False, server_default="0"),
    Column("critiques_done", Integer, nullable=False, server_default="0"),
    Column("tokens_done", BigInteger, nullable=False, server_default="0"),
    # Grows with the user's own `extend`; outcomes of an earlier extension are to be judged on.
    Column("extension", SmallInteger, nullable=False, server_default="0"),
    # Of the critiques those that were not sampled for this job, and the tokens that this saved.
    Column("critiques_reused", Integer, nullable=False, server_default="0"),
    Column("tokens_reused", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("state IN ('ready', 'leased', 'done', 'cancelled')", name="state"),
    CheckConstraint("(state = 'leased') = (owner IS NOT NULL AND lease_until IS NOT NULL)", name="lease"),
    CheckConstraint("first_ord <= last_ord", name="range"),
    Index("ix_shards_ready", "queue", text("priority DESC"), "id", postgresql_where=text("state = 'ready'")),
    Index("ix_shards_in_turn", "queue", "job_id", "id", postgresql_where=text("state = 'ready'")),
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
    Column("started_at", TIME, nullable=False, server_default=NOW),
    Column("seen_at", TIME, nullable=False, server_default=NOW),
    Column("prompt_tokens", BigInteger, nullable=False, server_default="0"),
    Column("generated_tokens", BigInteger, nullable=False, server_default="0"),
    Column("prefix_hit_rate", Float),
    Column("swept_at", TIME),
    # What the worker cannot do at the moment, such as store results.
    Column("trouble", Text),
    Column("trouble_since", TIME),
    # The advisory lock that the worker's own connection holds while its process lives; NULL where it has none.
    Column("lock_key", BigInteger),
    # The file that its log goes to, NULL where that is not known.
    Column("log", Text),
    Index("ix_workers_queue", "queue"),
    postgresql_with={"fillfactor": "50"},
)

failed_attempts = Table(
    "failed_attempts",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("job_id", BigInteger, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    # The shard may have been split since; the range is the one that this attempt held.
    Column("shard_id", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("first_ord", Integer, nullable=False),
    Column("last_ord", Integer, nullable=False),
    Column("worker", Text, nullable=False),
    Column("engine", Text),
    Column("claimed_at", TIME),
    Column("failed_at", TIME, nullable=False, server_default=NOW),
    Column("reason", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Index("ix_failed_attempts_job_id", "job_id", "id"),
)

# What the planned rule was compiled from (see rprm_jobs.services.upkeep.plans).
plans = Table(
    "plans",
    metadata,
    Column("job_id", BigInteger, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("version", SmallInteger, nullable=False),
    Column("steps", BigInteger, nullable=False),
    Column("prior", ARRAY(Float), nullable=False),
    Column("wrong", ARRAY(Float)),
    # Of a plan by context: one for each cell (see rprm_jobs.stopping.cells).
    Column("priors", ARRAY(Float, dimensions=2)),
    Column("made_at", TIME, nullable=False, server_default=NOW),
    PrimaryKeyConstraint("job_id", "version"),
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
    # What the screen said of each step, P(correct) in [0, 1]; NULL where there was none.
    Column("screen", ARRAY(Float)),
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
    # NULL for a step that was not judged.
    Column("critiques_per_step", ARRAY(SmallInteger), nullable=False),
    # True where some P(Yes) was not told by the engine and a vote stood in for it.
    Column("by_votes", Boolean, nullable=False),
    Column("shard_id", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("recorded_at", TIME, nullable=False, server_default=NOW),
    # Of a planned job: by which of its plans; NULL for its pilot.
    Column("plan", SmallInteger),
    Column("extension", SmallInteger, nullable=False, server_default="0"),
    # The keys of the steps' judgements, 16 bytes a step (zeros: an older version had none); NULL where there is none.
    Column("step_keys", LargeBinary),
    # NULL where nothing was reused.
    Column("reused_per_step", ARRAY(SmallInteger)),
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
    # The critique ended without a verdict, and the judge was asked for one behind it.
    Column("forced", Boolean, nullable=False, server_default="false"),
    Column("reused", Boolean, nullable=False, server_default="false"),
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
    # What training needs to know of each text (rprm_jobs.pairs.summary); NULL in rows of older versions.
    Column("readings", LargeBinary),
    PrimaryKeyConstraint("ord", "job_id"),
    postgresql_partition_by="LIST (job_id)",
)

# Solutions that a policy wrote; only jobs that write have a partition.
responses = Table(
    "responses",
    metadata,
    Column("job_id", BigInteger, nullable=False),
    Column("ord", Integer, nullable=False),
    Column("steps", JSONB, nullable=False),
    # NULL while a search still goes on from these steps.
    Column("finish", Text),
    Column("tokens", BigInteger, nullable=False),
    Column("answer", Text),
    Column("rewards", ARRAY(Float)),
    # zstd of JSON: every candidate that a search looked at.
    Column("tree", LargeBinary),
    PrimaryKeyConstraint("ord", "job_id"),
    postgresql_partition_by="LIST (job_id)",
)

# Where judgements are, by key. Of all jobs together, since any job may look for them.
judgements = Table(
    "judgements",
    metadata,
    Column("key", Uuid, nullable=False),
    Column("job_id", BigInteger, nullable=False),
    Column("ord", Integer, nullable=False),
    Column("step", SmallInteger, nullable=False),
    # How many critiques it had when this row was written.
    Column("n", SmallInteger, nullable=False),
    # Of a row for a whole solution, whose `key` is the first step's: those of all steps, 16 bytes each, and their n.
    Column("step_keys", LargeBinary),
    Column("counts", ARRAY(SmallInteger)),
    Index("ix_judgements_key", "key"),
    Index("ix_judgements_job_id", "job_id", postgresql_using="brin"),
)

# What was learned of rewards from labelled jobs (rprm_jobs.evaluation.calibrated).
calibrations = Table(
    "calibrations",
    metadata,
    Column("name", Text, primary_key=True),
    Column("model", JSONB, nullable=False),
    Column("sources", ARRAY(Text), nullable=False),
    Column("made_at", TIME, nullable=False, server_default=NOW),
)

BULK = (solutions, scores, verdicts, critiques)
