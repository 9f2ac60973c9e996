"""What endpoints and model servers use of the context of the service."""

from pathlib import Path
from typing import Any, Protocol

from local_sagemaker.backends.base import Runner
from local_sagemaker.storage.logs import Logs
from local_sagemaker.storage.records import Store


class ServerContext(Protocol):
    """The records, the clients and the folders; `local_sagemaker.context.Context` has them."""

    runner: Runner
    store: Store
    logs: Logs
    s3: Any

    def folder(self, kind: str, name: str) -> Path:
        """Return the folder of a resource."""

    def work(self, name: str) -> Path:
        """Return the working folder of a server, which is removed when that ends."""
