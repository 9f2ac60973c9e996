"""Print how often each compiled function came from numba's cache, and how often it did not.

Runs in the container.
"""

import importlib
import json
import pkgutil

from numba.core.registry import CPUDispatcher

import factorization_machines

found = {}
for module in pkgutil.walk_packages(factorization_machines.__path__, "factorization_machines."):
    if module.name.startswith("factorization_machines.estimator"):
        continue  # needs scikit-learn, which the image does not have; it has no kernels
    for value in vars(importlib.import_module(module.name)).values():
        if isinstance(value, CPUDispatcher):
            stats = value.stats
            counts = [sum(stats.cache_hits.values()), sum(stats.cache_misses.values())]
            found[f"{value.py_func.__module__}.{value.py_func.__name__}"] = counts
print(json.dumps(found))
