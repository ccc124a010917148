"""The pages: jobs with live progress, a reader of solutions and critiques, judges, and training.

Rendered here with every text of users and models escaped; a content security policy lets no inline script run, and
nothing is loaded from elsewhere.
"""
