"""The whole service: built, started, and ended with everything that it started."""

import logging
import os
import threading
from typing import Any

os.environ.setdefault("MOTO_DISABLE_GLOBAL_CORS", "true")  # moto reads it when it is imported

from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.sts.models import sts_backends

from local_sagemaker.api.dispatch import Api
from local_sagemaker.backends.base import Runner
from local_sagemaker.console.app import create_app
from local_sagemaker.context import ACCOUNT, KEY_ID, REGION, ROLE, SECRET, Context, Settings
from local_sagemaker.hosting.endpoints import Endpoints
from local_sagemaker.jobs.restart import restore
from local_sagemaker.server import origin_check, permissions
from local_sagemaker.server.certificate_authority import Authority
from local_sagemaker.server.log_long_poll import Tail
from local_sagemaker.server.moto_patches import backend
from local_sagemaker.server.port import Server
from local_sagemaker.server.router import Front
from local_sagemaker.storage.s3_persistence import ObjectState


class Service:
    """SageMaker, S3 and what belongs to them, on one port."""

    def __init__(self, settings: Settings, runner: Runner):
        """Bind the port and restore what the state folder holds.

        Raises: OSError where the port is taken.
        """
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        settings.state.mkdir(parents=True, exist_ok=True)
        self.settings = settings
        self.authority = Authority(settings.state / "ca")
        moto = DomainDispatcherApplication(backend)
        front = Front(moto, settings.names)
        self._server = Server(
            settings.host, settings.port, front, self.authority, origin_check.is_aws
        )
        self.url, self.port = self._server.url, self._server.port
        self._server.start()
        _let_in()
        self.context = Context(settings, self.url, runner)
        self.endpoints = Endpoints(self.context)
        self.api = Api(self.context, self.endpoints)
        self._objects = ObjectState(settings.state / "s3", self.context.s3)
        self.notes = [*self._objects.restore(), *restore(self.context, self.endpoints)]
        front.endpoints, front.api = self.endpoints, self.api
        front.tail = Tail(moto, self.context.logs)
        front.console = create_app(self.context, self.endpoints, self.api)
        front.changed = self._objects.note
        self._objects.start()
        self._stopped = threading.Lock()

    def stop(self) -> None:
        """End every job and endpoint, save what is in S3, and free the port."""
        if not self._stopped.acquire(blocking=False):
            return
        running: list[Any] = list(self.context.running.values())
        for run in running:
            run.abandon("InternalServerError: the local service was stopped while the job ran.")
        self.context.jobs.shutdown(wait=True, cancel_futures=True)
        self.endpoints.stop()
        self.context.logs.stop()
        self._objects.stop()
        self._server.stop()


def _let_in() -> None:
    """Make the role that get_execution_role finds, and the key of a session that has it."""
    permissions.add_to_moto()
    iam = iam_backends[ACCOUNT]["aws"]
    if not any(role.name == ROLE for role in iam.roles.values()):
        iam.create_role(
            role_name=ROLE,
            assume_role_policy_document=permissions.TRUST,
            path="/",
            permissions_boundary=None,
            description="The role of the local SageMaker service",
            tags=[],
            max_session_duration="3600",
        )
    session = sts_backends[ACCOUNT]["aws"].assume_role(
        region_name=REGION,
        role_session_name="local",
        role_arn=f"arn:aws:iam::{ACCOUNT}:role/{ROLE}",
        policy="",
        duration=3600,
        external_id="",
    )
    session.access_key_id, session.secret_access_key = KEY_ID, SECRET
