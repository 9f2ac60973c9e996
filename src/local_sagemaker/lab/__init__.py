"""The SageMaker Workshop's Lab 2: its ratings, its run on the local service, its report."""
