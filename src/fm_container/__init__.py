"""What runs in the image: train and serve on SageMaker's /opt/ml contract.

Knows /opt/ml; knows nothing of AWS, boto3 or Docker. Imports point one way:
cli -> train, serving, exchange -> artifact -> algorithm -> errors, and
train, serving -> data, contract -> errors.
"""

__version__ = "0.1.0"
