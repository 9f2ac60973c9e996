"""Where a job begins: at its last checkpoint, if there is one; and who keeps the next ones."""

from collections.abc import Mapping
from typing import Any

from fm_container.algorithm.fit import Engine
from fm_container.algorithm.parameters import Parameters
from fm_container.algorithm.position import Position
from fm_container.checkpoints import CheckpointKeeper, Folder, Identity, Interval, digest
from fm_container.contract import config
from fm_container.contract.hyperparameters import Hyperparameters
from fm_container.contract.log import JobLog
from fm_container.contract.paths import OptMl
from fm_container.data.recordio import Rows


def resume(
    paths: OptMl,
    params: Hyperparameters,
    parameters: Parameters,
    rows: Mapping[str, Rows],
    engine: Engine,
    kind: str,
    log: JobLog,
) -> tuple[Position, CheckpointKeeper | None]:
    """Return where training begins, and who keeps checkpoints where the job has a folder for them.

    Args:
        paths: of the job.
        params: of the job.
        parameters: the initial ones; they become the checkpoint's, as the engine's state does.
        rows: of the channels.
        engine: works on the parameters.
        kind: what the engine is called, whose rounding is its own.
        log: of the job.

    Raises: CheckpointError if the last checkpoint is of another job.
    """
    if not paths.checkpoints.is_dir():
        return Position(), None
    data = {name: digest(*_arrays(rows[name])) for name in _used(params, rows)}
    if config.model_folder(paths) is not None:
        data[config.MODEL_CHANNEL] = digest(parameters.w0, parameters.w, parameters.v)
    identity = Identity(params.values, data, kind, hosts=1)
    folder = Folder(paths.checkpoints, log.warning)
    position = Position()
    found = folder.latest()
    if found is not None:
        path, checkpoint = found
        checkpoint.identity.check(identity, path)
        parameters.take(checkpoint.parameters)
        engine.restore(checkpoint.moments)
        position = checkpoint.position
        log.message(f"Resuming from {path}: epoch {position.epoch}, batch {position.batch}")
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


def _used(params: Hyperparameters, rows: Mapping[str, Rows]) -> list[str]:
    """Return the channels that decide the result: `test` does where it ends training early."""
    early = params.integer("_early_stopping_patience") > 0
    return [name for name in rows if name == "train" or early]


def _arrays(rows: Rows) -> tuple[Any, ...]:
    return rows.x.indptr, rows.x.indices, rows.x.data, rows.y


def _interval(text: str) -> Interval:
    if text.endswith("s"):
        return Interval(seconds=float(text.removesuffix("s")))
    return Interval(epochs=int(text))
