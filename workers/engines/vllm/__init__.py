"""The vLLM engine and its processes.

Import `workers.engines.create_engine`; nothing else outside imports this folder.
"""
