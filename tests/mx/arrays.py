"""Print as JSON what mxnet finds in a file of arrays: names, storage, shapes and values."""

import json
import sys

import mxnet as mx

content = mx.nd.load(sys.argv[1])
named = content if isinstance(content, dict) else {str(i): a for i, a in enumerate(content)}
print(json.dumps({name: [a.stype, a.shape, a.asnumpy().tolist()] for name, a in named.items()}))
