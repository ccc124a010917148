"""What a job had when its extension began, so that the extension can be taken back."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

STATEMENTS = [
    "ALTER TABLE jobs ADD COLUMN extension JSONB",
    # Extensions that run now: what they had is counted again, and K is the most critiques that a step had.
    """
    UPDATE jobs AS j
    SET extension = jsonb_build_object(
      'generation', e.generation, 'previous_k', had.k, 'most_k', (j.recipe ->> 'k')::int, 'running', true,
      'begun_at', now(),
      'had', jsonb_build_object('ok', had.ok, 'failed', had.failed, 'quarantined', had.quarantined,
                                'steps', had.steps, 'critiques', e.critiques, 'tokens', e.tokens))
    FROM (
      SELECT job_id, max(extension) AS generation, sum(critiques_done)::bigint AS critiques,
             sum(tokens_done)::bigint AS tokens
      FROM shards GROUP BY job_id
      HAVING max(extension) > 0 AND count(*) FILTER (WHERE state IN ('ready', 'leased')) > 0) AS e
    CROSS JOIN LATERAL (
      SELECT greatest(1, coalesce(max(n) FILTER (WHERE r.extension < e.generation), 1)) AS k,
             count(DISTINCT r.ord) FILTER (WHERE r.status = 'ok') AS ok,
             count(DISTINCT r.ord) FILTER (WHERE r.status = 'failed') AS failed,
             count(DISTINCT r.ord) FILTER (WHERE r.status = 'quarantined') AS quarantined,
             count(n) AS steps
      FROM scores AS r LEFT JOIN LATERAL unnest(r.critiques_per_step) AS n ON true
      WHERE r.job_id = e.job_id) AS had
    WHERE j.id = e.job_id AND j.cancelled_at IS NULL
    """,
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("migrations only go forward: restore a dump to go back")
