"""The families of step judges: one file each, which says what such a judge is asked and how its answer is read.

`family.py` has what all share, `table.py` the list and how a model is recognised. A new family is a file and a row.
"""
