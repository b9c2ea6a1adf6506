"""Run the recipes for an engine of the page about many files; run by test_engines.py."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

import dlcli

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "predict-many.md"


def blocks(title: str) -> list[str]:
    """The Python of a section of the page."""
    _, _, section = PAGE.read_text(encoding="utf-8").partition(f"\n## {title}\n")
    return re.findall(r"^```py\n(.*?)^```$", section.partition("\n## ")[0], re.M | re.S)


def prepare(engine: str) -> None:
    """Start an engine as small as it can be."""
    if engine == "Ray Data":
        import ray

        ray.init(
            num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=2**27
        )


def main(engine: str) -> None:
    """Run the recipes in the current folder, which has a run, and compare what they write."""
    rng = np.random.default_rng(0)
    names = ("sepal_length", "sepal_width", "petal_length", "petal_width")
    flowers = pa.table({"id": np.arange(3000), **{name: rng.uniform(1, 7, 3000) for name in names}})
    Path("flowers").mkdir()
    for at in range(2):
        pq.write_table(flowers.slice(1500 * at, 1500), f"flowers/part-{at}.parquet")
    expected = dlcli.load("runs/iris").predict_batch(flowers, keep=["id"])
    prepare(engine)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for code in blocks(engine):
        exec(compile(code, engine, "exec"), namespace)
    for folder in sorted(Path("predicted").iterdir()):
        found = ds.dataset(folder).to_table().sort_by("id").select(expected.column_names)
        assert found["prediction"].equals(expected["prediction"])
        for name in expected.column_names[2:]:
            assert np.allclose(found[name], expected[name], rtol=1e-5, atol=1e-7)
        print(f"{folder}: {found.num_rows} rows")


if __name__ == "__main__":
    main(sys.argv[1])
