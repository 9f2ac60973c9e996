"""SageMaker's operations: validation, dispatch and one module for each resource.

Each operation takes a request as a dict and returns a response as a dict; botocore's own model
of the service checks both.
"""
