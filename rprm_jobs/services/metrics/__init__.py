"""What is measured for Prometheus: `store` reads the queue, `worker` counts what one worker does, `serving` serves it.

Names begin with `rprm_`, times are seconds, ratios lie in [0, 1]. Labels name judges, states and routes, never ids.
"""
