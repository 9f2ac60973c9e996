"""Endpoints, and the model servers that answer their requests."""
