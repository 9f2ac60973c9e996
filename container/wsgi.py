"""The application that gunicorn runs: it serves the model in /opt/ml/model."""

from sagemaker_container.contract.paths import OptMl
from sagemaker_container.serving.loading import create_loading_app

app = create_loading_app(OptMl.from_environment())
