"""Guided search over steps, pure: which candidates a search goes on from. Engines are in `workers/`.

Import `rprm_jobs.search.guided`.
"""
