"""SageMaker Pipelines: definitions and their executions. Operations are called through `Call`."""
