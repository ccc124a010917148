"""What several commands use: options, the open context, waiting for a job, tables.

Only the files of commands in `rprm_jobs/cli` import it.
"""
