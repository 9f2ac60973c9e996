"""Adds to a wheel what `local-sagemaker lab` and `local-sagemaker image` need of the checkout."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

FILES = ("pyproject.toml", "Dockerfile", ".dockerignore", "LICENSE", "README.md")
FOLDERS = ("container", "docker", "examples", "requirements")


class BuildWithProject(build_py):
    """Copies these files and folders to `local_sagemaker/project`."""

    def run(self) -> None:
        """Build as usual, then copy; an editable installation uses the checkout itself."""
        if self.editable_mode:
            super().run()
            return
        shutil.rmtree(self.build_lib, ignore_errors=True)  # files of an earlier build
        super().run()
        target = Path(self.build_lib, "local_sagemaker", "project")
        target.mkdir()
        for name in FILES:
            shutil.copy(name, target / name)
        for name in FOLDERS:
            without = shutil.ignore_patterns("__pycache__")
            shutil.copytree(name, target / name, ignore=without)


setup(cmdclass={"build_py": BuildWithProject})
