"""The checkpoints of a job: resume from the last one, and write the next ones."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from factorization_machines.trainer import TrainingState
from sagemaker_container.contract.channels import MODEL_CHANNEL, model_folder
from sagemaker_container.contract.hyperparameters import Hyperparameters
from sagemaker_container.contract.log import JobLog
from sagemaker_container.contract.paths import OptMl
from sagemaker_container.training.checkpoints import file
from sagemaker_container.training.checkpoints.file import Checkpoint
from sagemaker_container.training.checkpoints.fingerprint import JobFingerprint, digest
from sagemaker_container.training.checkpoints.manager import CheckpointManager, Interval
from sagemaker_container.training.checkpoints.store import CheckpointStore
from sagemaker_container.training.dataset import ChannelDataset
from sagemaker_container.training.engine_choice import Choice

if TYPE_CHECKING:
    from sagemaker_container.training.host_group import HostGroup


class JobCheckpoints:
    """The checkpoint folder of a job. With several hosts it is that of the master."""

    def __init__(
        self, paths: OptMl, hyperparameters: Hyperparameters, group: "HostGroup", log: JobLog
    ) -> None:
        self._paths, self._hyperparameters = paths, hyperparameters
        self._group, self._log = group, log

    def resume(
        self, datasets: Mapping[str, ChannelDataset], choice: Choice
    ) -> tuple[TrainingState, CheckpointManager | None]:
        """Load the last checkpoint into the engine and its model, if there is one.

        Returns where training starts, and what writes the next checkpoints; None without a folder
        and on hosts other than the master.

        Raises: CheckpointError if the last checkpoint is of another job.
        """
        group, log = self._group, self._log
        exists = group.any_reduce(group.rank == 0 and self._paths.checkpoints.is_dir())
        if not exists:
            return TrainingState(), None
        fingerprint = self._fingerprint(datasets, choice)
        store = CheckpointStore(self._paths.checkpoints, log.warning)
        state = TrainingState()
        name, checkpoint = self._latest(store, fingerprint, choice)
        if checkpoint is not None:
            choice.engine.model.copy_from(checkpoint.parameters)
            choice.engine.load_state_dict(checkpoint.optimizer)
            state = checkpoint.state
            log.message(f"Resuming from {name}: epoch {state.epoch}, batch {state.batch}")
        if group.rank > 0:
            return state, None
        interval = Interval.parse(self._hyperparameters.text("_checkpoint_interval"))
        epochs = self._hyperparameters.integer("epochs")
        manager = CheckpointManager(store, fingerprint, interval, epochs, choice.engine, log)
        manager.resume_from(state)
        return state, manager

    def _fingerprint(
        self, datasets: Mapping[str, ChannelDataset], choice: Choice
    ) -> JobFingerprint:
        # The test data decide the result only if they can end training.
        early = self._hyperparameters.integer("_early_stopping_patience") > 0
        data = {
            name: self._digest(dataset)
            for name, dataset in datasets.items()
            if name == "train" or early
        }
        if model_folder(self._paths) is not None:
            initial = choice.engine.model.arrays()
            data[MODEL_CHANNEL] = digest(initial.w0, initial.w, initial.v)
        hyperparameters = self._hyperparameters.values
        return JobFingerprint(hyperparameters, data, choice.kind, self._group.size)

    def _latest(
        self, store: CheckpointStore, fingerprint: JobFingerprint, choice: Choice
    ) -> tuple[str, Checkpoint | None]:
        """Return the name and the content of the master's last checkpoint, on every host."""
        group = self._group
        name, checkpoint, content = "", None, b""

        def check(checkpoint: Checkpoint, path: Path) -> None:
            checkpoint.fingerprint.check(fingerprint, path)
            checkpoint.check(choice.engine.model.arrays(), choice.engine.state_dict())

        if group.rank == 0 and (latest := store.latest(check)):
            path, checkpoint = latest
            name = str(path)
            content = path.read_bytes() if group.size > 1 else b""
        content = group.broadcast(content)
        if group.rank > 0 and content:
            name = f"the checkpoint of {group.names[0]}"
            checkpoint = file.load(BytesIO(content), name)
        return name, checkpoint

    def _digest(self, dataset: ChannelDataset) -> str:
        """Return a digest of a channel's rows on all hosts, or an identification of a stream."""
        if dataset.rows is None or not dataset.channel.sharded:
            return dataset.digest
        contents = self._group.all_gather_bytes(dataset.digest.encode())
        return " ".join(each.decode() for each in contents)
