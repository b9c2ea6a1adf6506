"""scikit-learn's tables as CSV files: `python -m benchmarks.rivals.shipped_tables FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from sklearn import datasets

LOADERS = ("breast_cancer", "diabetes", "digits", "iris", "wine")


def main(folder: Path) -> None:
    """Write each table with its column `target`; classes get their names, as text."""
    for name in LOADERS:
        data = getattr(datasets, f"load_{name}")(as_frame=True)
        table = data.frame
        if "target_names" in data:
            table["target"] = [f"class {data.target_names[label]}" for label in data.target]
        table.to_csv(folder / f"{name}.csv", index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
