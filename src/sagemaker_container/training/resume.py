"""Where a job begins: at its last checkpoint, if there is one; and who keeps the next ones."""

from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING

from factorization_machines.parameters import Parameters
from factorization_machines.trainer import Engine
from factorization_machines.training_state import Position
from sagemaker_container.contract.channels import MODEL_CHANNEL, Channel, model_folder
from sagemaker_container.contract.hyperparameters import Hyperparameters
from sagemaker_container.contract.log import JobLog
from sagemaker_container.contract.paths import OptMl
from sagemaker_container.errors import ChannelError
from sagemaker_container.training.checkpoints import (
    Checkpoint,
    CheckpointKeeper,
    Folder,
    Identity,
    Interval,
    digest,
    file,
)
from sagemaker_container.training.dataset import Source

if TYPE_CHECKING:
    from sagemaker_container.training.host_group import HostGroup


def resume(
    paths: OptMl,
    params: Hyperparameters,
    parameters: Parameters,
    sources: Mapping[str, Source],
    engine: Engine,
    kind: str,
    team: "HostGroup",
    channels: Mapping[str, Channel],
    log: JobLog,
) -> tuple[Position, CheckpointKeeper | None]:
    """Return where training begins, and who keeps checkpoints where the job has a folder for them.

    Args:
        paths: of the job.
        params: of the job.
        parameters: the initial ones; they become the checkpoint's, as the engine's state does.
        sources: of the channels' rows; of many hosts, in memory.
        engine: works on the parameters.
        kind: what the engine is called, whose rounding is its own.
        team: the hosts. The folder that counts is the master's.
        channels: what the rows are of.
        log: of the job.

    Raises: CheckpointError if the last checkpoint is of another job; ChannelError if hosts that
        are to have the same data or the same initial model do not.
    """
    exists = team.any_reduce(team.rank == 0 and paths.checkpoints.is_dir())
    if team.size == 1 and not exists:
        return Position(), None
    data = {
        name: _digest(team, name, channels[name].sharded, sources[name])
        for name in _used(params, sources)
    }
    if model_folder(paths) is not None:
        data[MODEL_CHANNEL] = digest(parameters.w0, parameters.w, parameters.v)
        _same(team, MODEL_CHANNEL, data[MODEL_CHANNEL])
    if not exists:
        return Position(), None
    identity = Identity(params.values, data, kind, team.size)
    folder = Folder(paths.checkpoints, log.warning)
    position = Position()
    path, checkpoint = _latest(team, folder, identity)
    if checkpoint is not None:
        parameters.take(checkpoint.parameters)
        engine.restore(checkpoint.moments)
        position = checkpoint.position
        log.message(f"Resuming from {path}: epoch {position.epoch}, batch {position.batch}")
    if team.rank > 0:
        return position, None
    keeper = CheckpointKeeper(
        folder,
        identity,
        _interval(params.text("_checkpoint_interval")),
        params.integer("epochs"),
        engine,
        parameters,
        log.message,
        log.warning,
    )
    keeper.begin(position)
    return position, keeper


def _latest(team: "HostGroup", folder: Folder, identity: Identity) -> tuple[str, Checkpoint | None]:
    """Return the master's last checkpoint, on every host."""
    path, checkpoint, content = "", None, b""
    if team.rank == 0 and (found := folder.latest()):
        path, checkpoint = str(found[0]), found[1]
        checkpoint.identity.check(identity, path)
        content = found[0].read_bytes() if team.size > 1 else b""
    content = team.broadcast(content)
    if team.rank > 0 and content:
        path = f"the checkpoint of {team.names[0]}"
        checkpoint = file.load(BytesIO(content), path)
    return path, checkpoint


def _digest(team: "HostGroup", name: str, sharded: bool, source: Source) -> str:
    """Return the digest of a channel's rows on all hosts, or what is known of a streamed one."""
    rows = source.rows
    if rows is None:
        return source.content
    mine = digest(rows.x.indptr, rows.x.indices, rows.x.data, rows.y)
    if sharded:
        return " ".join(each.decode() for each in team.all_gather_bytes(mine.encode()))
    _same(team, name, mine)
    return mine


def _same(team: "HostGroup", name: str, mine: str) -> None:
    for host, each in zip(team.names, team.all_gather_bytes(mine.encode()), strict=True):
        if each.decode() != mine:
            raise ChannelError(
                f"channel {name!r} is FullyReplicated, but what host {host!r} has is not what "
                f"{team.names[team.rank]!r} has"
            )


def _used(params: Hyperparameters, names: Iterable[str]) -> list[str]:
    """Return the channels that decide the result: `test` does where it ends training early."""
    early = params.integer("_early_stopping_patience") > 0
    return [name for name in names if name == "train" or early]


def _interval(text: str) -> Interval:
    if text.endswith("s"):
        return Interval(seconds=float(text.removesuffix("s")))
    return Interval(epochs=int(text))
