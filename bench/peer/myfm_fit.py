"""Run myFM's Gibbs sampler and print a JSON line an iteration. Runs in its environment.

Arguments: npz file of training and test rows, rank, iterations. An iteration's scores are those of
the mean over the samples so far, without the first few, which are far from the distribution.
"""

import json
import math
import sys
import time

import myfm
import numpy as np
from scipy.sparse import csr_matrix

BURN_IN = 50
file, rank, iterations = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
arrays = np.load(file)


def rows(name):
    keys = arrays[f"{name}_keys"]
    ends = np.arange(0, keys.size + 1, keys.shape[1])
    shape = (len(keys), int(arrays["feature_dim"]))
    return csr_matrix((np.ones(keys.size), keys.ravel(), ends), shape=shape)


test, labels = rows("test"), arrays["test_y"]
normal = np.vectorize(lambda z: 0.5 * math.erfc(-z / math.sqrt(2)))
total = np.zeros(len(labels))
began = time.perf_counter()


def after(iteration, fm, hyper, history):
    global began
    seconds = time.perf_counter() - began
    sample = normal(fm.predict_score(test, []))
    if iteration >= BURN_IN:
        total[:] += sample
        sample = total / (iteration - BURN_IN + 1)
    p = np.clip(np.where(labels > 0, sample, 1 - sample), 1e-12, 1)
    line = {"seconds": seconds, "loss": -np.log(p).mean(), "accuracy": (p > 0.5).mean()}
    print(json.dumps(line), flush=True)
    began = time.perf_counter()
    return False, None


sampler = myfm.MyFMGibbsClassifier(rank=rank, random_seed=0)
sampler.fit(
    rows("train"),
    arrays["train_y"],
    n_iter=iterations,
    n_kept_samples=1,
    group_shapes=arrays["fields"].tolist(),
    callback=after,
)
