"""From labelled steps and their critiques to what a judge is trained on: preference pairs and supervised examples.

Everything here is pure; rules say what is kept, and whatever is dropped has a reason that is counted.
"""
