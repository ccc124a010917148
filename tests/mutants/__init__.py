"""Breaks of one line each, with the tests that must fall: `make mutants`. Read `breaks.py` first."""
