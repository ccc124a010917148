"""Trains judges: the recipe of the tiny judge that ships with the package, and SFT over critiques in general.

Uses `rprm_jobs` for prompts, encoding and metrics, so that training and judging see the same bytes.
"""
