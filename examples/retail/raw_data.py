"""Writes transactions, as a shop exports them, from the prepared arrays of Online Retail.

The arrays have no codes, names and words: the numbers of the columns stand for them. The one-hot
columns of a row are those of its stock code, its customer and its country, in this order. The
columns of the words of its description follow, and the last column is the unit price.

    python raw_data.py FOLDER transactions.csv [--rows N]
"""

import argparse
import csv
import pathlib
from itertools import islice

import numpy as np

COLUMNS = ("StockCode", "Description", "Quantity", "UnitPrice", "CustomerID", "Country")


def transactions(file):
    """Yield the values of COLUMNS for each row of arrays in an .npz file."""
    arrays = np.load(file)
    starts, price_column = arrays["indptr"], arrays["shape"][1] - 1
    columns, values = arrays["indices"].astype(int), arrays["data"]
    for row, quantity in enumerate(arrays["y"]):
        part = slice(starts[row], starts[row + 1])
        prices = dict(zip(columns[part], values[part], strict=True))
        stock, customer, country, *words = sorted(prices.keys() - {price_column})
        yield (
            f"S{stock}",
            " ".join(f"word{word}" for word in words),
            f"{quantity:g}",
            f"{prices.get(price_column, 0.0):.6g}",
            f"C{customer}",
            f"Country {country}",
        )


def main():
    """Write the rows of train.npz and test.npz as one CSV file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="has train.npz and test.npz")
    parser.add_argument("csv", type=pathlib.Path)
    parser.add_argument("--rows", type=int, help="the rows to write of each file; default: all")
    arguments = parser.parse_args()
    with arguments.csv.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for name in ("train", "test"):
            rows = transactions(arguments.folder / f"{name}.npz")
            writer.writerows(islice(rows, arguments.rows))


if __name__ == "__main__":
    main()
