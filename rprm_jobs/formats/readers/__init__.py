"""From the bytes of an input to checked rows: one module a format or a stage.

Import from `rprm_jobs.formats`; only code that needs one format alone imports its reader.
"""
