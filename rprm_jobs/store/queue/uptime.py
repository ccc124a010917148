"""Since when Postgres serves, as an SQL expression; before that nobody could renew a lease or hold a lock.

When one of its processes is killed, Postgres ends them all and recovers, and keeps the time of its start all the same.
But the recovery discards the statistics.
"""

UP_SINCE = "greatest(pg_postmaster_start_time(), (SELECT stats_reset FROM pg_stat_archiver))"
