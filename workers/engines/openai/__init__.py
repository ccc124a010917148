"""The engine behind HTTP: any server that speaks OpenAI's chat completions.

Import `workers.engines.create_engine`; nothing else outside imports this folder.
"""
