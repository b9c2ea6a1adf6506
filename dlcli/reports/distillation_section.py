"""The comparison of a distilled network with its teacher, for pages and the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from dlcli.errors import plural
from dlcli.prediction.distillation_document import Distillation
from dlcli.reports import formatting as fmt
from dlcli.reports import views


def distillation_table(found: Distillation) -> views.TableBlock:
    """Compare accuracy, size and prediction time of a network with those of its teacher."""
    network, teacher = found.network, found.ensemble
    rows: list[tuple[str, ...]] = [
        (
            fmt.metric_title(name),
            fmt.metric(name, each.network, found.rows),
            fmt.metric(name, each.teacher, found.rows),
            fmt.estimate(each, name, is_difference=True),
        )
        for name, each in found.differences.items()
    ]
    pairs = {
        "weights": (network.weights, teacher.weights),
        "size of the weights in kB": (network.bytes / 1000, teacher.bytes / 1000),
        "prediction of a row in ms": (network.milliseconds, teacher.milliseconds),
    }
    for name, (own, other) in pairs.items():
        share = 100 * own / other
        times = (
            f"{share:.0f} % of the ensemble" if share >= 10 else f"{share:.2g} % of the ensemble"
        )
        shown = (f"{each:,.0f}" if each >= 10 else f"{each:.2g}" for each in (own, other))
        rows.append((name, *shown, times))
    on = f" on {plural(found.rows, 'test row')}" if found.rows else ""
    caption = f"Comparison with the ensemble {fmt.shorten_middle(found.teacher)}{on}"
    header = ("", "network", "ensemble", "difference [95 % CI], or share")
    return views.TableBlock(header, tuple(rows), caption, (0, 3))


def validation_note() -> str:
    """Return why the validation metrics of a distilled network are no measure of its quality."""
    return (
        "The validation metrics above are much too optimistic: this network learned from an "
        "ensemble that was trained on the validation rows, so it has seen their targets "
        "indirectly. Evaluate it on test rows."
    )


def distillation_sentences(found: Distillation) -> Iterator[str]:
    """Yield why a distilled network is not compared with its ensemble, if it is not."""
    if not found.rows:
        yield (
            "There are no test rows, so the metrics are not compared with those of the ensemble. "
            "To compare them, train the ensemble with data.test: 0.15 and distill it again, or "
            "compare both runs on new rows with dlcli compare --data."
        )
