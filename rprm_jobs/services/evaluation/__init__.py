"""Benchmarks, reports and simulations over stored jobs or files; the numbers come from `rprm_jobs.evaluation`.

Commands import its modules.
"""
