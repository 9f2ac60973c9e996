"""SageMaker's API on this machine: moto keeps the records of the other services, this runs jobs.

`front` takes every request, `api` holds SageMaker's operations, `store` the records. Only
`runner` knows how a container is run. Nothing here knows factorization machines but `builtin`.
"""
