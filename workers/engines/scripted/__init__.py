"""The engine without a model, for tests and load: critiques are a function of prompt and seed.

Import `workers.engines.create_engine`; nothing else outside imports this folder.
"""
