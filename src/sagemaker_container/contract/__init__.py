"""SageMaker's contract with a container: paths, configuration files, hyperparameters, log lines.

Reads and writes what lies under /opt/ml, and nothing else. Imports only `errors`, so that the
local service may use it too.
"""
