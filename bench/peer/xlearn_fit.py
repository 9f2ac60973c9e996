"""Train xLearn and print how long `fit` took; its own lines say the rest. Runs in its environment.

Arguments: JSON of `train`, `validate` (or null), `model`, `parameters`.
"""

import json
import sys
import time

import xlearn

job = json.loads(sys.argv[1])
model = xlearn.create_fm()
model.setTrain(job["train"])
if job["validate"]:
    model.setValidate(job["validate"])
model.disableEarlyStop()
began = time.perf_counter()
model.fit(job["parameters"], job["model"])
print(f"\nfit took {time.perf_counter() - began}", flush=True)
