"""The service as a whole: its parts, its start and its stop."""

import contextlib
import logging
import os
import sqlite3
import sys
import threading
import time
from typing import Any

os.environ.setdefault("MOTO_DISABLE_GLOBAL_CORS", "true")  # moto reads it when it is imported

from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.sts.models import sts_backends

from local_sagemaker.account import ACCOUNT, KEY_ID, REGION, ROLE, SECRET
from local_sagemaker.backends.base import Runner
from local_sagemaker.console.app import create_app
from local_sagemaker.context import Context, Settings
from local_sagemaker.jobs.restart import restore
from local_sagemaker.server import origin_check, outgoing, permissions
from local_sagemaker.server.certificate_authority import CertificateAuthority
from local_sagemaker.server.log_long_poll import LogLongPoll
from local_sagemaker.server.moto_patches import MotoApplications
from local_sagemaker.server.port import Server
from local_sagemaker.server.router import Router
from local_sagemaker.storage.database import Database
from local_sagemaker.storage.s3_persistence import S3Persistence

_PROGRESS_SECONDS = 5.0


class Service:
    """SageMaker, S3 and the services around them on one port."""

    def __init__(self, settings: Settings, runner: Runner):
        """Bind the port and restore the state folder.

        Raises: OSError if the port is in use.
        """
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        settings.state.mkdir(parents=True, exist_ok=True)
        self.settings = settings
        authority = CertificateAuthority(settings.state / "ca")
        outgoing.close()
        self._database = Database(settings.state)
        persistence = S3Persistence(self._database)
        applications = MotoApplications(persistence)
        moto = DomainDispatcherApplication(applications)
        router = Router(moto, settings.names)
        self._server = Server(settings.host, settings.port, router, authority, origin_check.is_aws)
        self.url, self.port = self._server.url, self._server.port
        self._server.start()
        _create_roles_and_session()
        self.context = Context(settings, self.url, runner, self._database, router.own_agent)
        router.context = applications.context = self.context
        router.log_long_poll = LogLongPoll(moto, self.context.logs)
        router.console = create_app(self.context)
        progress = _Progress()
        restored = [*persistence.restore(progress), *restore(self.context, progress)]
        self.notes = [*self._database.notes, *restored]
        router.ready = True
        self._stopped = threading.Lock()

    def stop(self) -> None:
        """Stop all jobs and endpoints, and free the port."""
        if not self._stopped.acquire(blocking=False):
            return
        running: list[Any] = list(self.context.running.values())
        for job in running:
            with contextlib.suppress(sqlite3.OperationalError):  # the next start marks it failed
                job.abandon("InternalServerError: the local service was stopped while the job ran.")
        self.context.jobs.shutdown(wait=True, cancel_futures=True)
        self.context.endpoints.stop()
        self.context.clear_work()
        self.context.logs.stop()
        self._server.stop()
        self._database.close()


class _Progress:
    """Prints what is restored, every few seconds; `up --env` waits as long as lines come."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, what: str) -> None:
        if time.monotonic() - self._last > _PROGRESS_SECONDS:
            self._last = time.monotonic()
            sys.stdout.write(f"up: restoring {what}\n")
            sys.stdout.flush()


def _create_roles_and_session() -> None:
    """Create the roles, and a session that has assumed the one of get_execution_role."""
    permissions.add_to_moto()
    session = sts_backends[ACCOUNT]["aws"].assume_role(
        region_name=REGION,
        role_session_name="local",
        role_arn=f"arn:aws:iam::{ACCOUNT}:role/{ROLE}",
        policy="",
        duration=3600,
        external_id="",
    )
    session.access_key_id, session.secret_access_key = KEY_ID, SECRET
