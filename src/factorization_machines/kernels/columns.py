"""Columns of the metric sums, shared by the kernels and `metrics`."""

# Of a classifier:
LOSS, CORRECT, TRUE_POSITIVE, PREDICTED, POSITIVE = range(5)
# Of a regressor, in place of the first two:
SQUARE, ABSOLUTE = range(2)
COLUMNS = 5
