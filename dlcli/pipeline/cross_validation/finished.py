"""What a fold came to, as it is kept until all have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from dlcli.errors import ConfigError, DataError, RunError
from dlcli.pipeline.cross_validation.rounds import Round
from dlcli.pipeline.pool import Pool
from dlcli.pipeline.selection import FoldResult
from dlcli.pipeline.selection.part import Part
from dlcli.prediction import KeptColumns
from dlcli.runs import PartialResult, RunWriter, malformed

if TYPE_CHECKING:
    import pyarrow as pa


class _Kept(Part):
    """What is kept of a fold beside its predictions."""

    result: FoldResult
    constant: tuple[float, ...]


@dataclass(frozen=True)
class Finished:
    """A fold that was trained, or could not be."""

    result: FoldResult
    """What it came to."""
    constant: tuple[float, ...] = ()
    """What a model that looks at no column says of its rows, as `HeldOut.outputs` has it."""
    predictions: pa.Table | None = None
    """Those of its rows; none if training failed."""
    error: ConfigError | DataError | None = None
    """What its rows have that it can't be trained or judged with; not kept."""

    def store(self, writer: RunWriter, each: Round) -> None:
        """Keeps it in the run folder."""
        kept = _Kept(result=self.result, constant=self.constant)
        writer.write_partial_result(
            each.number, PartialResult(kept.model_dump_json(), self.predictions)
        )


def read_finished(writer: RunWriter, each: Round, pool: Pool) -> Finished | None:
    """What a fold came to; `None` if it isn't finished.

    Args:
        writer: the run folder, which a stranger may have made.
        each: the fold.
        pool: all rows but those of the test split.

    Raises:
        RunError: if it is damaged, or of other rows.
    """
    stored = writer.read_partial_result(each.number)
    if stored is None:
        return None
    place = f"{writer.path}: what is kept of {_name(each)}"
    try:
        kept = _Kept.model_validate_json(stored.result)
    except ValidationError as error:
        raise RunError(f"{place} {malformed(error)}") from None
    found = Finished(kept.result, kept.constant, stored.predictions)
    if not _fits(found, each, pool, place):
        raise RunError(f"{place} is of other rows; begin the cross-validation again")
    return found


def _fits(found: Finished, each: Round, pool: Pool, place: str) -> bool:
    """Whether it tells of the rows that are held out there."""
    if (found.result.repeat, found.result.fold) != (each.repeat, each.fold):
        return False
    if found.predictions is None:
        return found.result.problem is not None
    rows = pool.rows.row_numbers[each.rows.held_out]
    return np.array_equal(KeptColumns(found.predictions, place).integers("row"), rows)


def _name(each: Round) -> str:
    return f"fold {each.fold} of repeat {each.repeat}"
