"""symbol.json: a graph that is well-formed for MXNet, and that computes the score."""

import json
from typing import Any

import numpy as np
import pytest
from scipy.sparse import random_array

from factorization_machines.artifact.symbol import symbol
from factorization_machines.parameters import Parameters, score, sigmoid


def run(graph: dict[str, Any], given: dict[str, Any]) -> Any:
    """Return what a graph computes, each of its operators as MXNet's documentation defines it."""
    operators: dict[str, Any] = {
        "dot": lambda attrs, a, b: a @ b,
        "square": lambda attrs, a: a * a,
        "sum": lambda attrs, a: a.sum(
            axis=int(attrs["axis"]), keepdims=attrs["keepdims"] == "True"
        ),
        "_mul_scalar": lambda attrs, a: a * float(attrs["scalar"]),
        "elemwise_add": lambda attrs, a, b: a + b,
        "elemwise_sub": lambda attrs, a, b: a - b,
        "broadcast_add": lambda attrs, a, b: a + b,
        "LogisticRegressionOutput": lambda attrs, a, label: 1 / (1 + np.exp(-a)),
        "LinearRegressionOutput": lambda attrs, a, label: a,
    }
    values: list[Any] = []
    for node in graph["nodes"]:
        inputs = [values[source] for source, _, _ in node["inputs"]]
        if node["op"] == "null":
            values.append(given[node["name"]])
        else:
            values.append(operators[node["op"]](node["attrs"], *inputs))
    (head,) = graph["heads"]
    return values[head[0]]


@pytest.mark.parametrize("classifier", [True, False])
def test_the_graph_computes_the_score(classifier: bool) -> None:
    random = np.random.default_rng(0)
    parameters = Parameters(
        random.standard_normal(1, np.float32),
        random.standard_normal(7, np.float32),
        random.standard_normal((7, 3), np.float32),
    )
    x = random_array((20, 7), density=0.4, format="csr", dtype=np.float32, rng=random)
    given = {
        "data": x,
        "v": parameters.v,
        "w1_weight": parameters.w[:, None],
        "w0_weight": parameters.w0,
        "out_label": None,
    }
    expected = score(x, parameters)
    if classifier:
        expected = sigmoid(expected)
    result = run(symbol(7, 3, classifier), given)
    assert result.shape == (20, 1)
    np.testing.assert_allclose(result[:, 0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("classifier", [True, False])
def test_the_graph_is_well_formed(classifier: bool) -> None:
    graph = symbol(2625, 64, classifier)
    nodes = graph["nodes"]
    names = [node["name"] for node in nodes]
    assert len(set(names)) == len(names)
    for place, node in enumerate(nodes):
        assert all(0 <= source < place for source, _, _ in node["inputs"])
        assert all(isinstance(value, str) for value in node["attrs"].values())
    variables = [place for place, node in enumerate(nodes) if node["op"] == "null"]
    assert graph["arg_nodes"] == variables
    assert [names[place] for place in variables] == [
        "data", "v", "w1_weight", "w0_weight", "out_label",
    ]  # fmt: skip
    assert graph["node_row_ptr"] == list(range(len(nodes) + 1))
    assert graph["heads"] == [[len(nodes) - 1, 0, 0]]
    assert nodes[-1]["name"] == "out"
    shapes = {node["name"]: node["attrs"].get("__shape__") for node in nodes}
    assert shapes["v"] == "(2625, 64)"
    assert shapes["w1_weight"] == "(2625, 1)"
    assert shapes["w0_weight"] == "(1,)"
    assert nodes[0]["attrs"] == {"__storage_type__": "2"}
    assert json.loads(json.dumps(graph)) == graph
