"""Jobs from Python: the same store, judges and workers as the command line.

    from rprm_jobs import Client

    with Client() as client:
        job = client.submit("solutions.jsonl", judge="tiny", k=4)
        job.wait()
        table = job.to_pandas()

Import `Client` or `AsyncClient` from `rprm_jobs`. Every error is one of `rprm_jobs.errors`.
"""

from rprm_jobs.client.aio import AsyncClient, AsyncJob
from rprm_jobs.client.core import Client
from rprm_jobs.client.job import Job, Judgement

__all__ = ["AsyncClient", "AsyncJob", "Client", "Job", "Judgement"]
