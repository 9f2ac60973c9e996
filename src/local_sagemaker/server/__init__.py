"""The port: plain HTTP and a proxy, routed to SageMaker, to moto and to the console."""
