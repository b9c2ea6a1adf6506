"""Validation rows: too few to tell by, or none."""

from __future__ import annotations

from dlcli.diagnosis.case import Case
from dlcli.diagnosis.error import Error, class_shares, error_of, likely_range
from dlcli.diagnosis.finding import Finding, Patch, number
from dlcli.errors import plural

FEWEST = 20
"""Rows below which not even the uncertainty can be told."""
UNSURE = 0.125
"""Standard error of the error (see `Error`) from which on validation rows tell little: two of them
are a quarter of the way from knowing nothing to knowing all. Of a network that has learned less
than half, it is that of one that has learned half."""
_USUAL, _MOST = 0.15, 0.3
_FOR_THE_END = "; test rows are for the end, as what is chosen by them is no longer judged by them"
_SOURCE = (
    "Goodfellow, Bengio & Courville, Deep Learning (2016), sections 5.3 and 5.4.4; "
    "Bengio, Practical Recommendations for Gradient-Based Training (2012), section 3.2"
)


def small_validation(case: Case) -> Finding | None:
    """So few validation rows that their error may be another by a quarter of the scale."""
    rows, error = case.rows.get("validation", 0), error_of(case, "validation")
    doubt = _doubt(error) if error else 0.0
    if not rows or (rows >= FEWEST and doubt <= UNSURE):
        return None
    return Finding(
        rule="small_validation",
        saw=f"there are {plural(rows, 'validation row')}{_rarest(case, rows)}{_range(case)}",
        means="so few rows can't tell a good network from a lucky one; early stopping and every "
        "choice that is made by them follow chance. Hold out more rows, or train several times "
        "with other seeds and compare the means",
        patches=_larger_share(case),
        source=_SOURCE,
    )


def _rarest(case: Case, rows: int) -> str:
    shares = [share for share in class_shares(case.metrics.get("validation", {})) if share > 0]
    return f", {max(1, round(rows * min(shares)))} of the rarest class" if shares else ""


def _range(case: Case) -> str:
    """What validation rows say, and what others might."""
    error, likely = error_of(case, "validation"), likely_range(case, "validation")
    if error is None or likely is None:
        return ""
    name = error.words.split()[0]
    low, high = likely
    return f": {error.words}, and with other rows {name} might be {number(low)} to {number(high)}"


def no_validation(case: Case) -> Finding | None:
    """Rows enough to hold some out, and none that are."""
    config, rows = case.config, case.rows.get("train", 0)
    if case.diverged or config.data.validation is not None or _USUAL * rows < FEWEST:
        return None
    has_test = case.rows.get("test", 0) > 0
    settings = (("data.validation", f"{_USUAL:g}"),)
    why = "holds out rows that training doesn't see and that tell how it goes"
    return Finding(
        rule="no_validation",
        saw=f"no rows validate: all {rows:,} {'that are no test rows ' if has_test else ''}train",
        means="nothing shows when the network begins to learn rows by heart, or which of two "
        f"configs is better{_FOR_THE_END if has_test else ''}",
        patches=(Patch("validation", why, settings),),
        source=_SOURCE,
    )


def _doubt(error: Error) -> float:
    return error.deviation * min(1.0, 0.5 / error.share) if error.share > 0 else error.deviation


def _larger_share(case: Case) -> tuple[Patch, ...]:
    share = case.config.data.validation
    if not isinstance(share, float) or share >= _MOST:
        return ()
    larger = 0.2 if share < 0.2 else _MOST
    why = "holds out more rows, which training then lacks"
    return (Patch("validation", why, (("data.validation", f"{larger:g}"),)),)
