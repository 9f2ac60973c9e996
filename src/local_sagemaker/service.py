"""The service as a whole: its parts, its start and its stop."""

import logging
import os
import sys
import threading
import time
from pathlib import Path

os.environ.setdefault("MOTO_DISABLE_GLOBAL_CORS", "true")  # moto reads it when it is imported

from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.sts.models import sts_backends

from local_sagemaker.account import ACCOUNT, KEY_ID, REGION, ROLE, SECRET
from local_sagemaker.backends.base import Runner
from local_sagemaker.console.app import create_app
from local_sagemaker.context import Context
from local_sagemaker.jobs.restart import restore
from local_sagemaker.pipelines import records as pipeline_records
from local_sagemaker.server import (
    moto_state,
    origin_check,
    outgoing,
    permissions,
    s3_forwarding,
)
from local_sagemaker.server.certificate_authority import CertificateAuthority
from local_sagemaker.server.control import Control
from local_sagemaker.server.log_long_poll import LogLongPoll
from local_sagemaker.server.moto_patches import MotoApplications
from local_sagemaker.server.port import Server
from local_sagemaker.server.router import Router
from local_sagemaker.settings import Settings
from local_sagemaker.storage.database import Database
from local_sagemaker.storage.s3_persistence import S3Persistence

_PROGRESS_SECONDS = 5.0


class Service:
    """SageMaker, S3 and the services around them on one port."""

    def __init__(self, settings: Settings, runner: Runner):
        """Bind the port and restore the state folder.

        Raises: OSError if the port is in use; LocalError if another S3 cannot be used.
        """
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        settings.state.mkdir(parents=True, exist_ok=True)
        self.settings = settings
        authority = CertificateAuthority(settings.state / "ca")
        outgoing.close()
        self._database = Database(settings.state)
        self._persistence = persistence = S3Persistence(self._database)
        self._applications = MotoApplications(persistence, settings.s3)
        self._moto = DomainDispatcherApplication(self._applications)
        control = Control(runner.name, authority.bundle_file)
        self._router = router = Router(self._moto, settings.names, control)
        self._server = Server(settings.host, settings.port, router, authority, origin_check.is_aws)
        self.url, self.port = self._server.url, self._server.port
        self._server.start()
        _create_roles_and_session()
        self.context = self._create_context(runner)
        progress = _Progress()
        if settings.s3 is not None:
            s3_forwarding.check(self.context.s3, settings.s3)
        buckets = persistence.restore(progress) if settings.s3 is None else []
        executions = pipeline_records.restore(self.context.store)
        restored = [*buckets, *restore(self.context, progress), *executions]
        self.notes = [*self._database.notes, *restored]
        router.ready = True
        control.service = self
        self._stopped = threading.Lock()

    def stop(self) -> None:
        """Stop all jobs and endpoints, and free the port."""
        if not self._stopped.acquire(blocking=False):
            return
        self.context.stop("InternalServerError: the local service was stopped while the job ran.")
        self.context.clear_work()
        self.context.logs.stop()
        self._server.stop()
        self._database.close()

    def reset(self) -> dict[str, int]:
        """End all jobs and endpoints, and remove everything; other requests wait meanwhile.

        Returns: the number of entries that each collection of the database had.

        Raises: sqlite3.Error; nothing is removed then.
        """
        with self._router.closed():
            old = self.context
            with self._persistence.lock:
                removed = old.store.clear()
                self._persistence.clear()
                moto_state.clear()
            _create_roles_and_session()
            old.logs.stop()
            folder = old.move_folders()
            self.context = self._create_context(old.runner)
            # Ends nothing new, since requests wait.
            threading.Thread(target=_retire, args=(old, folder), daemon=True).start()
            old.runner.clear()
        return removed

    def _create_context(self, runner: Runner) -> Context:
        """Create a context, and let the parts of the server use it."""
        router = self._router
        context = Context(self.settings, self.url, runner, self._database, router.own_agent)
        router.context = self._applications.context = context
        router.log_long_poll = LogLongPoll(self._moto, context.logs)
        router.console = create_app(context)
        return context


def _retire(context: Context, folder: Path) -> None:
    """End the threads of a context that a reset has replaced, and remove a folder."""
    context.stop("The local service was reset.", deliver=False)
    context.runner.remove(folder)


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
