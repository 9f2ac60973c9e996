"""What stands in for the SageMaker service on your machine: S3, jobs and endpoints, the lab.

Uses the image, or the `train` and `serve` commands of this environment. Of the container's own
code it may import `sagemaker_container.contract` only.
"""
