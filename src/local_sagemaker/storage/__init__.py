"""Records, logs, metrics, and the transfer of channels and models from and to S3."""
