"""A comparison as one JSON object.

::

    target        the columns that all runs predict
    split         the set of held-out rows that they are compared on, or null
    same_data     whether all have read the same files, by their SHA-256
    runs          for each run, the first being the one that the others are compared with:
      run           its folder
      created       when it was finished, in UTC
      epochs        how many it was trained for
      data          its files: file, sha256
      metrics       split, then metric: a number, or null where it is undefined
      baselines     model, then split, then metric
      rows          how many rows of `split` it has, or null
      estimates     metric: value, with lower and upper of its 95 % interval; both are null where
                    there is none, and reason says why
    config        what differs: path, as --set takes it, and values for each run, or null
    facts         versions and parts of the machine that differ: name, and values for each run
    differences   for each run but the first:
      run           its folder
      rows          on how many rows that both have predicted; null if not on the same rows, and
      reason        why not
      metrics       metric: value (this run's less the first's), lower, upper, reason, and verdict:
                    better, worse, not_significant, same or unknown
    notes         what to bear in mind
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from dlcli.comparison.comparison import Against, Comparison, Side
from dlcli.metrics import Estimate

Document = dict[str, object]


def to_document(comparison: Comparison) -> Document:
    """The object, ready for JSON."""
    pairs = zip(comparison.sides[1:], comparison.against, strict=False)
    return {
        "target": list(comparison.target),
        "split": comparison.split,
        "same_data": comparison.same_data,
        "runs": [_side(side) for side in comparison.sides],
        "config": [asdict(setting) for setting in comparison.settings],
        "facts": [asdict(fact) for fact in comparison.facts],
        "differences": [_against(side, against) for side, against in pairs],
        "notes": list(comparison.notes),
    }


def _side(side: Side) -> Document:
    return {
        "run": str(side.path),
        "created": side.created.isoformat(),
        "epochs": side.epochs,
        "data": [{"file": file.name, "sha256": file.sha256} for file in side.data],
        "metrics": side.metrics,
        "baselines": side.baselines,
        "rows": side.rows,
        "estimates": _each(side.estimates),
    }


def _against(side: Side, against: Against) -> Document:
    return {
        "run": str(side.path),
        "rows": against.rows,
        "reason": against.reason,
        "metrics": _each(against.differences),
    }


def _each(estimates: Mapping[str, Estimate]) -> Document:
    return {name: asdict(estimate) for name, estimate in estimates.items()}
