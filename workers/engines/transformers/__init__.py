"""The engine for a CPU or one GPU without vLLM: many critiques decoded together.

Import `workers.engines.create_engine`; nothing else outside imports this folder.
"""
