"""A factorization machine made, run and saved by mxnet, as model_algo-1 in the folder it runs in.

usage: produce.py ROWS sparse|dense default|row_sparse PREDICTOR_TYPE. Leaves scores.npy beside it.

The sparse network has v (feature_dim, num_factors), w1_weight and w0_weight; the dense one v
(num_factors, feature_dim) and a fully connected layer Linear_Plus_Bias.
"""

import json
import os
import sys
import zipfile

import mxnet as mx
import numpy as np
from scipy.sparse import load_npz

rows, network, storage, predictor_type = sys.argv[1:]
x = load_npz(rows)
d, k, n = x.shape[1], 4, x.shape[0]
sparse = storage == "row_sparse"


def pairs(data, v, v_turned, squares):
    of_sums = mx.sym.sum(mx.sym.square(mx.sym.dot(data, v_turned)), axis=1, keepdims=True)
    return 0.5 * (of_sums - mx.sym.dot(mx.sym.square(data), squares))


if network == "sparse":
    data = mx.sym.Variable("data", stype="csr")
    v = mx.sym.Variable("v", stype=storage, shape=(d, k), init=mx.init.Normal(0.4))
    w1 = mx.sym.Variable("w1_weight", stype=storage, shape=(d, 1))
    w0 = mx.sym.Variable("w0_weight", shape=(1,))
    if sparse:
        squares = mx.sym._internal._square_sum(v, axis=1, keepdims=True)
    else:
        squares = mx.sym.sum(mx.sym.square(v), axis=1, keepdims=True)
    linear = mx.sym.broadcast_add(mx.sym.dot(data, w1), w0)
    score = linear + pairs(data, v, v, squares)
    batch = mx.nd.sparse.csr_matrix((x.data, x.indices, x.indptr), shape=x.shape)
else:
    data = mx.sym.Variable("data")
    v = mx.sym.Variable("v", shape=(k, d), init=mx.init.Normal(0.4))
    linear = mx.sym.FullyConnected(data, num_hidden=1, name="Linear_Plus_Bias")
    turned = mx.sym.transpose(v)
    score = linear + pairs(
        data, v, turned, mx.sym.sum(mx.sym.square(turned), axis=1, keepdims=True)
    )
    batch = mx.nd.array(x.toarray())
output = {
    "binary_classifier": mx.sym.LogisticRegressionOutput,
    "regressor": mx.sym.LinearRegressionOutput,
}[predictor_type]

rows = mx.io.NDArrayIter(
    batch, mx.nd.zeros((n, 1)), n, label_name="out_label", last_batch_handle="discard"
)
out = output(score, mx.sym.Variable("out_label"), name="out")
m = mx.module.Module(out, label_names=["out_label"])
m.bind(data_shapes=rows.provide_data, label_shapes=rows.provide_label, for_training=False)
mx.random.seed(5)
m.init_params(mx.init.Normal(0.4))
values, _ = m.get_params()
for name in values:
    if name.endswith(("bias", "w0_weight")):
        values[name][:] = 0.3
    elif sparse:
        # Of every third row there is nothing in the file.
        array = values[name].asnumpy()
        array[1::3] = 0
        values[name] = mx.nd.array(array).tostype(storage if network == "sparse" else "default")
m.set_params(values, {})
np.save("scores.npy", m.predict(rows).asnumpy()[:, 0])

out.save("symbol.json")
kept = {
    f"arg:{name}": array if name.endswith(("bias", "w0_weight")) else array.tostype(storage)
    for name, array in values.items()
}
mx.nd.waitall()  # without it, mxnet at times writes a row-sparse array's shape as it was before
mx.nd.save("params", kept)
meta = {"training_parameters": {"feature_dim": str(d), "num_factors": str(k)}}
with zipfile.ZipFile("model_algo-1", "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("meta.json", json.dumps(meta))
    for name in ("symbol.json", "params"):
        archive.write(name)
        os.remove(name)
