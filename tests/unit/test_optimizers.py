"""The registry of optimizers and its agreement with the kernels."""

import subprocess
import sys

from factorization_machines.kernels import optimizers as kernels
from factorization_machines.optimizers import OPTIMIZERS


def test_each_optimizer_has_its_kernel() -> None:
    for name, rule in OPTIMIZERS.items():
        assert rule.kernel == getattr(kernels, name.upper())


def test_reading_the_names_loads_neither_torch_nor_numba() -> None:
    code = (
        "import sys, sagemaker_container.contract.hyperparameters; "
        "sys.exit(bool({'torch', 'numba'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
