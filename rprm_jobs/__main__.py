"""`python -m rprm_jobs` is `rprm-jobs`."""

from rprm_jobs.cli import main

main()
