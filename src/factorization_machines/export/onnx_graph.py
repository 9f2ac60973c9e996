"""An ONNX graph that scores sparse rows.

Inputs, for a batch of B rows with at most N non-zeros each: `keys` int64 (B, N) and `values`
float32 (B, N). A shorter row is padded with the value 0 and any key from 0 to
feature_dim - 1; the other keys of a row must be distinct. Outputs: `score` float32 (B,), the same
as in `serve`, and for a classifier `predicted_label` float32 (B,).
"""

from pathlib import Path
from typing import Any

import numpy as np

from factorization_machines.artifact import Model
from factorization_machines.export import metadata
from factorization_machines.export.metadata import Content

_OPSET, _IR = 17, 8  # of 2022, supported since onnxruntime 1.12
LARGEST_INSIDE = 1 << 30  # bytes; a protobuf message is limited to 2 GB


def write(path: Path, model: Model) -> None:
    """Write the graph; arrays larger than 1 GiB go to a second file, PATH.data."""
    try:
        import onnx
        from onnx import helper, numpy_helper
    except ImportError as error:
        raise metadata.missing("onnx", error) from None
    parameters = model.parameters
    constants = {
        "v": parameters.v,
        "w": parameters.w,
        "w0": parameters.w0,
        "half": np.float32(0.5),
        "last": np.array([2], np.int64),
        "by_row": np.array([1], np.int64),
        "by_row_and_factor": np.array([1, 2], np.int64),
    }
    floats, ints = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    outputs = ["score", *(["predicted_label"] if model.classifier else [])]
    graph = helper.make_graph(
        _nodes(helper, model.classifier, floats),
        "factorization_machine",
        [
            helper.make_tensor_value_info("keys", ints, ["batch", "length"]),
            helper.make_tensor_value_info("values", floats, ["batch", "length"]),
        ],
        [helper.make_tensor_value_info(name, floats, ["batch"]) for name in outputs],
        [numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items()],
    )
    onnx_model = helper.make_model(
        graph,
        producer_name="local-factorization-machines",
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR,
        doc_string=__doc__ or "",
    )
    helper.set_model_props(onnx_model, metadata.texts(model))
    external = parameters.v.nbytes + parameters.w.nbytes > LARGEST_INSIDE
    name = f"{path.name}.data" if external else None
    onnx.save_model(onnx_model, path, save_as_external_data=external, location=name)


def _nodes(helper: Any, classifier: bool, floats: int) -> list[Any]:
    """Return nodes for Rendle's lemma 3.1 over the rows of v and w selected by the keys."""
    nodes = [
        ("Gather", ["v", "keys"], "factors"),
        ("Unsqueeze", ["values", "last"], "weights"),
        ("Mul", ["factors", "weights"], "weighted"),
        ("ReduceSum", ["weighted", "by_row"], "sums"),
        ("Mul", ["sums", "sums"], "sums_squared"),
        ("ReduceSum", ["sums_squared", "by_row"], "of_sums"),
        ("Mul", ["weighted", "weighted"], "weighted_squared"),
        ("ReduceSum", ["weighted_squared", "by_row_and_factor"], "of_squares"),
        ("Sub", ["of_sums", "of_squares"], "twice_the_pairs"),
        ("Mul", ["twice_the_pairs", "half"], "pairs"),
        ("Gather", ["w", "keys"], "linear_weights"),
        ("Mul", ["linear_weights", "values"], "linear_terms"),
        ("ReduceSum", ["linear_terms", "by_row"], "linear"),
        ("Add", ["linear", "pairs"], "without_bias"),
        ("Add", ["without_bias", "w0"], "log_odds" if classifier else "score"),
    ]
    if classifier:
        nodes += [
            ("Sigmoid", ["log_odds"], "score"),
            ("Greater", ["score", "half"], "liked"),
            ("Cast", ["liked"], "predicted_label"),
        ]
    extra: dict[str, dict[str, int]] = {"ReduceSum": {"keepdims": 0}, "Cast": {"to": floats}}
    return [
        helper.make_node(op, inputs, [output], name=output, **extra.get(op, {}))
        for op, inputs, output in nodes
    ]


def read(path: Path) -> Content:
    """Return the content of a graph that `write` has written."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise metadata.missing("onnx", error) from None
    model = onnx.load(path)
    arrays = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if tensor.name in ("v", "w", "w0")
    }
    return Content(arrays, {prop.key: prop.value for prop in model.metadata_props})
