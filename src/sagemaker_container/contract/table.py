"""Prints the table of hyperparameters: `python -m sagemaker_container.contract.table`."""

import sys

from sagemaker_container.contract.hyperparameters import TABLE


def markdown() -> str:
    """Return the table of hyperparameters in Markdown."""
    lines = ["| name | default | allowed | meaning |", "|---|---|---|---|"]
    for row in TABLE:
        default = "**required**" if row.required else f"`{row.default}`" if row.default else ""
        lines.append(f"| `{row.name}` | {default} | {row.allowed()} | {row.meaning} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(markdown() + "\n")
