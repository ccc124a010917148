"""Measured claims: every module is a command that prints JSON, but `make_solutions`, which makes their input."""
