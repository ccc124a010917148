"""The HTTP service: the API under `/v1`, rewards for trainers, pages, and who may use what.

`rprm_jobs.server.app.create_app` builds it; `rprm-jobs serve` runs it. A route calls a service and describes what
comes back; it holds no logic of jobs.
"""
