"""Jobs that run in the background: training, transform, tuning."""
