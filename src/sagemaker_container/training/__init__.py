"""A training job: from the channels under /opt/ml to the model artifact.

`job` runs the job with the other modules. Serving imports nothing from here.
"""
