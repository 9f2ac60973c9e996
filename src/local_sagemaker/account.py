"""The account that every client of the service uses."""

ACCOUNT = "123456789012"  # moto's default account
REGION = "us-east-1"
ROLE = "SageMakerExecutionRole"
KEY_ID, SECRET = "ASIALOCALSAGEMAKER00", "local"  # noqa: S105 - not a secret
