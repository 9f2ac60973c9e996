"""RecordIO framing and the `aialgs.data.Record` message: the only place that knows both.

Decodes channels to CSR rows with compiled functions, and request bodies with NumPy alone.
"""
