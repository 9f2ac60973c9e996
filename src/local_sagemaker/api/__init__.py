"""SageMaker's operations: a registry, validation, and one module for each resource.

A handler takes a request as a dict and returns a response as a dict; botocore's model of the
service checks the first and shapes the second.
"""
