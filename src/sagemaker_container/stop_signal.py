"""The signals that stop a job. Imports little: `train` installs the handlers before all else."""

import signal
from types import FrameType

STOPPED = 128 + signal.SIGTERM  # the shell's number of a command ended by that signal


class Stopped(SystemExit):
    """A stop before there is anything to save."""

    def __init__(self) -> None:
        super().__init__(STOPPED)


class StopSignal:
    """Tells whether SIGTERM, SIGINT or SIGHUP was received.

    Before the first call there is nothing to save, and a signal raises. After the first call a
    signal only sets a flag. A SIGHUP that is ignored, as under nohup, stays ignored.
    """

    def __init__(self) -> None:
        self._received = False
        self._polled = False
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        for number in numbers:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._receive)
        # container/train is started with these signals blocked.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)

    def __call__(self) -> bool:
        """Return whether the job is to end."""
        self._polled = True
        return self._received

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._received = True
        if not self._polled:
            raise Stopped
