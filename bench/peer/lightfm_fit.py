"""Train LightFM's logistic loss and print a JSON line an epoch. Runs in its environment.

Arguments: npz file of training and test rows, JSON of LightFM's parameters, epochs, threads.
"""

import json
import sys
import time

import numpy as np
from lightfm import LightFM
from scipy.sparse import coo_matrix

file, parameters, epochs, threads = (
    sys.argv[1],
    json.loads(sys.argv[2]),
    int(sys.argv[3]),
    int(sys.argv[4]),
)
arrays = np.load(file)
users, items = arrays["fields"].tolist()
keys, test_keys = arrays["train_keys"], arrays["test_keys"]
signs = np.where(arrays["train_y"] > 0, 1, -1).astype(np.int32)
interactions = coo_matrix((signs, (keys[:, 0], keys[:, 1] - users)), shape=(users, items))
test_users = test_keys[:, 0].astype(np.int32)
test_items = (test_keys[:, 1] - users).astype(np.int32)
labels = arrays["test_y"]

model = LightFM(loss="logistic", random_state=0, **parameters)
for _ in range(epochs):
    began = time.perf_counter()
    model.fit_partial(interactions, num_threads=threads)
    seconds = time.perf_counter() - began
    z = model.predict(test_users, test_items, num_threads=threads)
    loss = np.logaddexp(0, np.where(labels > 0, -z, z)).mean()
    line = {"seconds": seconds, "loss": loss, "accuracy": ((z > 0) == (labels > 0)).mean()}
    print(json.dumps({name: float(value) for name, value in line.items()}), flush=True)
