"""Results and training sets as data sets of a hub: what is written, the card that tells of it, and the upload.

Commands import its modules.
"""
