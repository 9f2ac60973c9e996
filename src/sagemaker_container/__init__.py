"""SageMaker's contract with a container: train and serve on /opt/ml.

Imports `factorization_machines`, and nothing of AWS, boto3 or Docker. Only `contract` may be
imported by `local_sagemaker`.
"""
