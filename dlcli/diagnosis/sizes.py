"""Validation rows: too few to tell by, or none."""

from __future__ import annotations

from dlcli.diagnosis.case import Case
from dlcli.diagnosis.error import Error, error_of
from dlcli.diagnosis.finding import Finding, Patch, percent
from dlcli.errors import plural

FEWEST = 20
"""Rows below which not even the uncertainty can be told."""
UNSURE = 0.125
"""Standard error of the error (see `Error`) from which on validation rows tell little: two of them
are a quarter of the way from knowing nothing to knowing all. Of a network that has learned less
than half, it is that of one that has learned half."""
_USUAL, _MOST = 0.15, 0.3
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
    saw = f"there are {plural(rows, 'validation row')}"
    if error is not None and doubt > UNSURE:
        saw += f": {error.words}, whose error may be {percent(2 * doubt)} more or less of that of "
        saw += "knowing nothing"
    return Finding(
        rule="small_validation",
        saw=saw,
        means="so few rows can't tell a good network from a lucky one; early stopping and every "
        "choice that is made by them follow chance. Hold out more rows, or train several times "
        "with other seeds and compare the means",
        patches=_larger_share(case),
        source=_SOURCE,
    )


def no_validation(case: Case) -> Finding | None:
    """Rows enough to hold some out, and none that are."""
    config, rows = case.config, case.rows.get("train", 0)
    if case.diverged or config.data.validation is not None or _USUAL * rows < FEWEST:
        return None
    settings = (("data.validation", f"{_USUAL:g}"),)
    why = "holds out rows that training doesn't see and that tell how it goes"
    return Finding(
        rule="no_validation",
        saw=f"all {plural(rows, 'row')} that are no test rows train, and none validate",
        means="nothing shows when the network begins to learn rows by heart, or which of two "
        "configs is better; test rows are for the end, as what is chosen by them is no longer "
        "judged by them",
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
