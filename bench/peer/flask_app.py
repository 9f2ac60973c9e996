"""The model served with flask, json and numpy, written without thought of speed."""

import json
import os

import numpy as np
from flask import Flask, Response, jsonify, request

app = Flask("naive")

parameters = np.load(os.environ["BENCH_PARAMETERS"])
w0, w, v = (parameters[name] for name in ("w0", "w", "v"))
squares = (v * v).sum(axis=1)


@app.post("/invocations")
def predict():
    instances = json.loads(request.data)["instances"]
    x = np.zeros((len(instances), w.size), dtype=np.float32)
    for row, instance in zip(x, instances, strict=True):
        features = instance["data"]["features"] if "data" in instance else instance["features"]
        if isinstance(features, dict):
            row[features["keys"]] = features["values"]
        else:
            row[:] = features
    s = x @ v
    z = w0 + x @ w + 0.5 * ((s * s).sum(axis=1) - (x * x) @ squares)
    scores = 1 / (1 + np.exp(-z))
    predictions = [{"score": float(p), "predicted_label": float(p > 0.5)} for p in scores]
    return jsonify({"predictions": predictions})


@app.get("/ping")
def ping():
    return Response(status=200)
