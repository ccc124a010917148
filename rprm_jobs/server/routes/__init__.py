"""One module for each family of routes, each with a `router` that `rprm_jobs.server.app` includes."""
