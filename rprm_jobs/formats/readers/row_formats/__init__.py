"""The shapes of rows that other tools write: one module a tool, each a `RowFormat` that maps a row to plain ones.

A plain row has `id`, `problem`, `steps` or `solution`, `label`, `step_labels`; whatever else it has is metadata.
"""
