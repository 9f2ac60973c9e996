"""Jobs that run a container on each of their hosts, and the logs of these containers."""

import contextlib
import dataclasses
import threading
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local_sagemaker.backends.base import Running, Task
from local_sagemaker.jobs.base import Job

_ABANDONED_GRACE = 5.0  # seconds for a container to end when the service stops


@dataclass(frozen=True)
class Outcome:
    """How the containers of a job ended."""

    interruption: str | None  # Stopped or MaxRuntimeExceeded, which stopped them
    failed: Sequence[tuple[Path, str]]  # /opt/ml and end of each that failed, the first one first


class ContainerJob(Job):
    """A job that runs containers. `group` is the log group of their output."""

    group: str

    def run_containers(self, tasks: Sequence[Task], isolated: bool, seconds: float) -> Outcome:
        """Run a container on each host, and return how they ended.

        Args:
            tasks: one for each host.
            isolated: the containers reach each other only.
            seconds: the time limit of the job.
        """
        runner = self.context.runner
        with contextlib.ExitStack() as stack:
            network = None
            if len(tasks) > 1 or isolated:
                if network := runner.network(isolated):
                    stack.callback(runner.remove_network, network)
            epoch = int(time.time())
            running = {}
            for task in tasks:
                # `train` calls no operation of AWS; a script may.
                aws = self.context.aws_environment() if task.own_command else {}
                task = dataclasses.replace(task, network=network, env={**aws, **task.env})
                running[task.base] = stack.enter_context(self._container(task, epoch))
            interruption, failed = self._watch(running, time.monotonic() + seconds)
            for one in running.values():
                one.wait()
            if failed:  # those that were stopped after it may have left a reason, too
                failed += [
                    base for base, one in running.items() if one.poll() and base not in failed
                ]
            return Outcome(interruption, [(base, running[base].ending()) for base in failed])

    @contextlib.contextmanager
    def _container(self, task: Task, epoch: int) -> Iterator[Running]:
        """Run one host's container, whose log stream is closed at the end."""
        file = self.context.folder(self.kind, self.name) / f"{task.host}-{epoch}.log"
        stream = self.context.logs.stream(self.group, f"{self.name}/{file.stem}", file)
        try:
            container = self.context.runner.start(task, stream.write)
            try:
                yield container
            finally:
                container.stop(0.0)
        finally:
            stream.close()

    def _watch(
        self, running: Mapping[Path, Running], deadline: float
    ) -> tuple[str | None, list[Path]]:
        """Wait for the containers; stop all of them at a failure, a request or the deadline.

        Returns: what stopped them, and the hosts whose containers failed before.
        """
        while True:
            codes = {base: container.poll() for base, container in running.items()}
            failed = [base for base, code in codes.items() if code]
            if None not in codes.values():
                return None, failed
            interruption = None
            if self.stopping.wait(0.01):
                interruption = "Stopped"
            elif time.monotonic() > deadline:
                interruption = "MaxRuntimeExceeded"
            if interruption or failed:  # the failure of one host fails the job
                if interruption == "Stopped":
                    self.set_stopping()
                _stop(list(running.values()), _ABANDONED_GRACE if self.abandoned else None)
                return interruption, [] if interruption else failed

    @abstractmethod
    def set_stopping(self) -> None:
        """Record that the containers are being stopped."""

    @contextlib.contextmanager
    def noting_left_out(self) -> Iterator[set[str]]:
        """Yield a set for texts about entries that are not uploaded; they go to the log."""
        left_out: set[str] = set()
        try:
            yield left_out
        finally:
            self.note([f"{text}: it is left out." for text in sorted(left_out)])

    def note(self, lines: Sequence[str]) -> None:
        """Append the service's own lines to the log of the first host."""
        streams = self.context.log_files(self.kind, self.name)
        if lines and streams:
            stream = self.context.logs.stream(self.group, *min(streams.items()))
            for line in lines:
                stream.write(line)
            stream.close()


def _stop(running: list[Running], grace: float | None) -> None:
    threads = [threading.Thread(target=each.stop, args=(grace,)) for each in running]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
