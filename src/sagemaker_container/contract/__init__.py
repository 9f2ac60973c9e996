"""SageMaker's contract with a container: paths, configuration files, hyperparameters, log lines.

Reads and writes only files below /opt/ml. Does not import training or serving, so that the local
service can use it too.
"""
