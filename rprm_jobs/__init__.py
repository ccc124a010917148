"""Judge the steps of sampled solutions offline with a reasoning process reward model (R-PRM)."""

__version__ = "0.1.0"
