"""Columns of the sums that metrics are made of, as kernels and `metrics` share them."""

# A classifier's:
LOSS, CORRECT, TRUE_POSITIVE, PREDICTED, POSITIVE = range(5)
# A regressor's, in the place of the first two:
SQUARE, ABSOLUTE = range(2)
COLUMNS = 5
