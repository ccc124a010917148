"""Workers: one process loads a model and works through shards until it is asked to stop.

`python -m workers` starts one; `process` owns its life, `runtime` its slots, `attempt` one lease, `tasks` the work.
Nothing outside imports from here but the tests and the benchmarks.
"""
