"""What one would write without thinking: flask, json and numpy; and a route that does nothing."""

import json
import os

import numpy as np
from flask import Flask, Response, jsonify, request

naive = Flask("naive")
constant = Flask("constant")

ANSWER = b'{"predictions":[{"score":0.5,"predicted_label":1.0}]}'

parameters = np.load(os.environ["BENCH_PARAMETERS"])
w0, w, v = (parameters[name] for name in ("w0", "w", "v"))
squares = (v * v).sum(axis=1)


@naive.post("/invocations")
def predict():
    rows = [instance["features"] for instance in json.loads(request.data)["instances"]]
    x = np.array(rows, dtype=np.float32)
    s = x @ v
    z = w0 + x @ w + 0.5 * ((s * s).sum(axis=1) - (x * x) @ squares)
    scores = 1 / (1 + np.exp(-z))
    predictions = [{"score": float(p), "predicted_label": float(p > 0.5)} for p in scores]
    return jsonify({"predictions": predictions})


@constant.post("/invocations")
def answer():
    request.get_data()
    return Response(ANSWER, mimetype="application/json")


@naive.get("/ping")
@constant.get("/ping")
def ping():
    return Response(status=200)
