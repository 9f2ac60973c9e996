"""The first Describe of a job or an endpoint, which waits until the resource has settled."""

from collections.abc import Callable

from local_sagemaker.context import Caller, Context
from local_sagemaker.storage.records import Record

_SECONDS = 25.0  # botocore's read timeout is 60 s


def first_describe(
    context: Context,
    kind: str,
    name: str,
    caller: Caller,
    settled: Callable[[Record | None], bool],
) -> None:
    """Wait in the first Describe of a record until it has settled, for 25 s at most.

    The SDK describes a resource at once and then every 30 s, boto3's waiter every 120 s: without
    the wait, a job of one second would appear to take 30.
    """
    if caller.waits and (kind, name) not in context.described:
        context.described.add((kind, name))
        context.store.wait(kind, name, settled, _SECONDS)


def forget(context: Context, kind: str, name: str) -> None:
    """Let the next Describe of a record wait again."""
    context.described.discard((kind, name))
