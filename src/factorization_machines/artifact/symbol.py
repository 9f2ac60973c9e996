"""Builds symbol.json of the model artifact: the score as a graph that MXNet can run."""

from typing import Any

_CSR = "2"  # MXNet's number of the storage type


def symbol(feature_dim: int, num_factors: int, classifier: bool) -> dict[str, Any]:
    """Return the graph over a CSR variable `data`, ending in an output `out` with `out_label`.

    The pair sum is rewritten by Rendle's lemma 3.1. The parameters are `v` (feature_dim,
    num_factors), `w1_weight` (feature_dim, 1) and `w0_weight` (1,).
    """
    graph = _Graph()
    data = graph.variable("data", __storage_type__=_CSR)
    v = graph.variable("v", __shape__=str((feature_dim, num_factors)))
    w1 = graph.variable("w1_weight", __shape__=str((feature_dim, 1)))
    w0 = graph.variable("w0_weight", __shape__="(1,)")
    label = graph.variable("out_label")

    of_sums = graph.row_sum("sum_of_squared_sums", graph.add("square", graph.add("dot", data, v)))
    norms = graph.row_sum("factor_norms", graph.add("square", v))
    of_squares = graph.add("dot", graph.add("square", data), norms)
    pairs = graph.add("_mul_scalar", graph.add("elemwise_sub", of_sums, of_squares), scalar="0.5")
    without_bias = graph.add("elemwise_add", graph.add("dot", data, w1), pairs)
    score = graph.add("broadcast_add", without_bias, w0)
    output = "LogisticRegressionOutput" if classifier else "LinearRegressionOutput"
    return graph.with_output(graph.add(output, score, label, name="out"))


class _Graph:
    """A list of nodes that refer to one another by index."""

    def __init__(self) -> None:
        self._nodes: list[dict[str, Any]] = []

    def variable(self, name: str, **attrs: str) -> int:
        return self.add("null", name=name, **attrs)

    def row_sum(self, name: str, node: int) -> int:
        return self.add("sum", node, name=name, axis="1", keepdims="True")

    def add(self, op: str, *inputs: int, name: str | None = None, **attrs: str) -> int:
        node = {
            "op": op,
            "name": name or f"{op.strip('_')}{len(self._nodes)}",
            "attrs": attrs,
            "inputs": [[source, 0, 0] for source in inputs],
        }
        self._nodes.append(node)
        return len(self._nodes) - 1

    def with_output(self, node: int) -> dict[str, Any]:
        return {
            "nodes": self._nodes,
            "arg_nodes": [i for i, entry in enumerate(self._nodes) if entry["op"] == "null"],
            "node_row_ptr": list(range(len(self._nodes) + 1)),
            "heads": [[node, 0, 0]],
            "attrs": {"mxnet_version": ["int", 10901]},
        }
