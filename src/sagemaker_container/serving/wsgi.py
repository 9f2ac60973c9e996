"""The WSGI application that gunicorn runs: the model under /opt/ml/model."""

from sagemaker_container.contract.paths import OptMl
from sagemaker_container.serving.app import create_app
from sagemaker_container.serving.errors import Loading
from sagemaker_container.serving.loading import start_loading
from sagemaker_container.serving.settings import Settings

_settings = Settings.from_environment()
app = create_app(Loading("the model is being loaded"), _settings)
start_loading(app, OptMl.from_environment(), _settings)
