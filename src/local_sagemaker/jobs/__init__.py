"""Jobs that run in the background: training, batch transform, tuning."""
