"""Read RecordIO files with the SDK: a file's name a line in, its seconds out.

The SDK writes lines of its own too, so that an answer says that it is one. Runs in the SDK's
environment, and reads as a user would: every field of every record as Python numbers.
"""

import sys
import time

from sagemaker.amazon.common import read_records

for line in sys.stdin:
    began = time.perf_counter()
    with open(line.rstrip("\n"), "rb") as stream:
        for record in read_records(stream):
            tensor = record.features["values"].float32_tensor
            list(tensor.keys), list(tensor.values)
            record.label["values"].float32_tensor.values[0]
    print("answer", time.perf_counter() - began, flush=True)
