"""A training job, from the channels under /opt/ml to the model artifact.

`job` has the recipe; every other module is one of its parts. Serving imports nothing of it.
"""
