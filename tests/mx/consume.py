"""What public code does with a model.tar.gz of the built-in, in the folder with it, step by step.

usage: consume.py ROWS NB_USERS, where ROWS is a matrix by scipy.sparse.save_npz. Leaves seen.npz.
"""

import json
import os
import sys

import mxnet as mx
import numpy as np
from scipy.sparse import load_npz

assert os.system("tar -xzf model.tar.gz") == 0
assert os.system("unzip -o -q model_algo-1 || python3 -m zipfile -e model_algo-1 .") == 0
os.system("mv symbol.json model-symbol.json")
os.system("mv params model-0000.params")

m = mx.module.Module.load("./model", 0, False, label_names=["out_label"])
V = m._arg_params["v"].asnumpy()
w = m._arg_params["w1_weight"].asnumpy()
b = m._arg_params["w0_weight"].asnumpy()

nb_users = int(sys.argv[2])
knn_item_matrix = np.concatenate((V[nb_users:], w[nb_users:]), axis=1)
ones = np.ones(nb_users).reshape((nb_users, 1))
knn_user_matrix = np.concatenate((V[:nb_users], ones), axis=1)

model_params = json.load(open("meta.json", "rb"))
num_features = model_params["training_parameters"]["feature_dim"]
keys = sorted(mx.nd.load("model-0000.params"))

# The graph itself, on batches of CSR rows.
x = load_npz(sys.argv[1])
size = 10
batches = mx.io.NDArrayIter(
    mx.nd.sparse.csr_matrix((x.data, x.indices, x.indptr), shape=x.shape),
    mx.nd.zeros((x.shape[0], 1)),
    batch_size=size,
    label_name="out_label",
    last_batch_handle="discard",
)
m.bind(data_shapes=batches.provide_data, label_shapes=batches.provide_label, for_training=False)
scores = []
for batch in batches:
    m.forward(batch, is_train=False)
    scores.append(m.get_outputs()[0].asnumpy()[:, 0])

np.savez(
    "seen.npz",
    V=V, w=w, b=b, items=knn_item_matrix, users=knn_user_matrix, num_features=num_features,
    keys=keys, scores=np.concatenate(scores),
)  # fmt: skip
