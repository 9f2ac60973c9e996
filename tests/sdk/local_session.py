"""A session of the SDK's local mode, v1 or v2; the scripts of this folder import it."""

import functools

from sagemaker.local import LocalSession


def local_session(port, root):
    """Return a LocalSession that serves on a port and keeps its folders below a root."""
    session = LocalSession()
    session.config = {"local": {"serving_port": int(port), "container_root": root}}
    # v1 reads the port from a file in the home folder when the client is created.
    session.sagemaker_runtime_client.serving_port = int(port)
    # v2 sleeps for 30 s before it asks for the endpoint's status; a local endpoint is in service
    # when the call that creates it returns.
    session.wait_for_endpoint = functools.partial(session.wait_for_endpoint, poll=0)
    return session
