"""What a job stores about its extension: entered, changed and ended here, and which outcomes count in it."""

from __future__ import annotations

import msgspec
from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.store.jobs import batches, jobs
from rprm_jobs.store.records import Extension, Job
from rprm_jobs.store.schema.partitions import partition


def end(connection: Connection, job_id: int) -> None:
    """Store that the job's extension runs no longer."""
    query = text("UPDATE jobs SET extension = extension || CAST('{\"running\": false}' AS jsonb) WHERE id = :id")
    connection.execute(query, {"id": job_id})


def settle(connection: Connection, job_id: int) -> Job:
    """The job, which the caller has locked, with `running` cleared if its extension has come to its end."""
    job = jobs.get(connection, job_id)
    if job.extension is None or not job.extension.running:
        return job
    progress = jobs.progress(connection, job_id)
    if progress.finished < progress.shards:
        return job
    end(connection, job_id)
    return jobs.get(connection, job_id)


def is_being_cancelled(job: Job) -> bool:
    """Whether the job has its earlier K again, and `_keep_batch` has yet to finish shards."""
    return job.extension is not None and job.extension.running and job.recipe.k == job.extension.previous_k


def dedupe_key(connection: Connection, job: Job, digest: str) -> str | None:
    """The key by which an equal submission finds the job once it has this recipe digest; None when none does."""
    row = connection.execute(text("SELECT dedupe_key, recipe_digest FROM jobs WHERE id = :id"), {"id": job.id}).one()
    return None if row.dedupe_key is None else str(row.dedupe_key.replace(row.recipe_digest, digest))


def store(connection: Connection, job: Job, k: int, key: str | None, extension: Extension) -> None:
    """Give the job this K and dedupe key, with what is known of its extension."""
    recipe = msgspec.structs.replace(job.recipe, k=k)
    connection.execute(
        text(
            "UPDATE jobs SET recipe = CAST(:recipe AS jsonb), recipe_digest = :digest, dedupe_key = :key,"
            " extension = CAST(:extension AS jsonb) WHERE id = :id"
        ),
        {
            "id": job.id,
            "recipe": msgspec.json.encode(recipe.to_builtins()).decode(),
            "digest": recipe.digest,
            "key": key,
            "extension": msgspec.json.encode(extension).decode(),
        },
    )
    # A plan is for one K and says nothing of another: there will be a new pilot.
    connection.execute(text("DELETE FROM plans WHERE job_id = :id"), {"id": job.id})


def count_as_current(connection: Connection, job_id: int, batch: batches.Batch, generation: int, keep: str) -> None:
    """Let earlier outcomes of the batch's range, of which `keep` is true, stand as outcomes of this generation."""
    query = text(
        f"UPDATE {partition('scores', job_id)} SET extension = :generation"
        f" WHERE ord BETWEEN :first AND :last AND extension < :generation AND {keep}"
        " RETURNING shard_id, status, cardinality(array_remove(critiques_per_step, NULL)) AS steps"
    )
    kept = connection.execute(query, {**batch.range, "generation": generation}).all()
    counts = [
        (row.shard_id, row.status == "ok", row.status == "failed", row.status == "quarantined", row.steps)
        for row in kept
    ]
    batches.add_counts(connection, counts)
