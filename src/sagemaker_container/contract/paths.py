"""The paths below /opt/ml, or below SAGEMAKER_BASE_DIR if that is set."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEFAULT_BASE = Path("/opt/ml")


@dataclass(frozen=True)
class OptMl:
    """The folders and files of one job, all below `base`."""

    base: Path = DEFAULT_BASE

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "OptMl":
        """Return the paths below SAGEMAKER_BASE_DIR (as in the training toolkit), or /opt/ml."""
        return cls(Path(environ.get("SAGEMAKER_BASE_DIR") or DEFAULT_BASE))

    @property
    def config(self) -> Path:
        """Folder of the three configuration files."""
        return self.base / "input" / "config"

    @property
    def hyperparameters(self) -> Path:
        """One JSON object, every value a string."""
        return self.config / "hyperparameters.json"

    @property
    def input_data_config(self) -> Path:
        """One JSON object: the options of each channel, by name."""
        return self.config / "inputdataconfig.json"

    @property
    def resource_config(self) -> Path:
        """One JSON object with current_host, hosts, and other keys."""
        return self.config / "resourceconfig.json"

    def channel(self, name: str) -> Path:
        """Folder of a channel's files, in File and FastFile mode."""
        return self.base / "input" / "data" / name

    @property
    def model(self) -> Path:
        """Folder that becomes model.tar.gz, and that serve reads."""
        return self.base / "model"

    @property
    def output(self) -> Path:
        """Folder of the failure file."""
        return self.base / "output"

    @property
    def failure(self) -> Path:
        """File with the reason of a failure; the service shows its first 1,024 characters."""
        return self.output / "failure"

    @property
    def output_data(self) -> Path:
        """Folder of extra artifacts that becomes output.tar.gz."""
        return self.output / "data"

    @property
    def checkpoints(self) -> Path:
        """Folder that the service keeps for the next run; it may not exist."""
        return self.base / "checkpoints"
