"""What the service keeps: records, logs, metrics, S3 objects and how channels read them."""
