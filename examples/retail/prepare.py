"""Processing job: transactions as CSV become the features of a factorization machine.

It runs in SageMaker's scikit-learn image. The output folder gets

    train/, test/   RecordIO-protobuf with labels, for the training job
    batch/          the test rows without labels, for the transform job
    report/         features.json with feature_dim; labels.csv of the test rows; request.json and
                    expected.json with a few of them
"""

import argparse
import json
import pathlib
import struct

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import OneHotEncoder

CODES = ["StockCode", "CustomerID", "Country"]
KEYS = [*CODES, "Description", "UnitPrice"]
SAMPLES = 5


def read(folder):
    """Return the quantity of each product, customer and price, from all CSV files of a folder."""
    columns = dict.fromkeys(CODES + ["Description"], str)
    parts = [
        pd.read_csv(file, dtype=columns, keep_default_na=False)
        for file in sorted(folder.rglob("*.csv"))
    ]
    rows = pd.concat(parts)
    rows = rows[rows["CustomerID"] != ""]
    sums = rows.groupby(KEYS, as_index=False)["Quantity"].sum()
    return sums[sums["Quantity"] > 0]


def features(rows):
    """Return a sparse matrix: codes as one-hot columns, descriptions as TF-IDF, the unit price."""
    return sp.hstack(
        [
            OneHotEncoder().fit_transform(rows[CODES]),
            TfidfVectorizer(min_df=2).fit_transform(rows["Description"]),
            sp.csr_matrix(rows[["UnitPrice"]].to_numpy()),
        ],
        format="csr",
        dtype=np.float32,
    )


def varint(number):
    """Return a number in protobuf's variable length."""
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def field(number, content):
    """Return a field of a protobuf message whose content is bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def entry(number, tensor):
    """Return an entry of a Record's map: the tensor under the name `values`."""
    return field(number, field(1, b"values") + field(2, field(2, tensor)))


def records(matrix, labels=None):
    """Yield each row as a Record in a RecordIO frame, which is padded to four bytes."""
    shape = field(3, varint(matrix.shape[1]))
    encoded = [varint(column) for column in range(matrix.shape[1])]
    for row in range(matrix.shape[0]):
        start, end = matrix.indptr[row], matrix.indptr[row + 1]
        keys = b"".join(encoded[column] for column in matrix.indices[start:end])
        values = matrix.data[start:end].astype("<f4").tobytes()
        message = entry(1, field(1, values) + field(2, keys) + shape)
        if labels is not None:
            message += entry(2, field(1, struct.pack("<f", labels[row])))
        padding = bytes(-len(message) % 4)
        yield struct.pack("<II", 0xCED7230A, len(message)) + message + padding


def write(file, chunks):
    """Write bytes to a file in a new folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        stream.writelines(chunks)


def instance(row):
    """Return a row of the matrix as an instance of a JSON request."""
    shown = {"keys": row.indices.tolist(), "shape": [row.shape[1]], "values": row.data.tolist()}
    return {"data": {"features": shown}}


def main():
    """Read, encode, split 80:20 and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--input", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    rows = read(arguments.input)
    x, y = features(rows), rows["Quantity"].to_numpy(np.float32)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, random_state=42)
    write(arguments.output / "train" / "train.protobuf", records(x_train, y_train))
    write(arguments.output / "test" / "test.protobuf", records(x_test, y_test))
    write(arguments.output / "batch" / "batch.protobuf", records(x_test))
    samples, expected = x_test[:SAMPLES], y_test[:SAMPLES].tolist()
    report = {
        "features.json": json.dumps({"feature_dim": x.shape[1], "rows": len(rows)}),
        "labels.csv": "\n".join(map(str, y_test)) + "\n",
        "request.json": json.dumps({"instances": [instance(row) for row in samples]}),
        "expected.json": json.dumps(expected),
    }
    for name, text in report.items():
        write(arguments.output / "report" / name, [text.encode()])
    print(f"{len(y_train)} training rows and {len(y_test)} test rows of {x.shape[1]} features")


if __name__ == "__main__":
    main()
