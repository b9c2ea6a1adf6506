"""What happens in an experiment, in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from dlcli.cli import tune_wording
from dlcli.cli.text import number, some
from dlcli.encoding import UNMATCHED_REASON
from dlcli.errors import plural

Fields = Mapping[str, Any]


def _data(fields: Fields) -> list[str]:
    counts = [f"{count} {_SETS[name]}" for name, count in fields["rows"].items()]
    dealt = f" ({fields['split']}, seed {fields['seed']})" if fields["split"] else ""
    return [f"{fields['file']}: {', '.join(counts)} rows{dealt}", *fields["notes"]]


_SETS = {"train": "training", "validation": "validation", "test": "test"}


def _target(fields: Fields) -> list[str]:
    columns, names, reason = fields["columns"], _named(fields), fields["reason"]
    if names:
        noun = "classes" if fields["classes"] else "labels"
        listed = f": {some(names)}" if names != columns else ""
        return [f"{some(columns)}: {len(names)} {noun}, {reason}{listed}"]
    noun = "count" if fields["type"] == "count" else "number"
    count = f"a {noun}" if len(columns) == 1 else f"{len(columns)} {noun}s"
    return [f"{some(columns)}: {count}, {reason}"]


def _named(fields: Fields) -> Sequence[str]:
    """The classes or labels; none for numbers."""
    names: Sequence[str] = fields["classes"] or fields["labels"]
    return names


def _features(fields: Fields) -> list[str]:
    """A line for each type: `64 numeric, all numbers: pixel_0_0, pixel_0_1, ...`.

    The columns that `input.features` doesn't name come last, with the way to read them.
    """
    by_type: defaultdict[str, dict[str, str]] = defaultdict(dict)
    unnamed: dict[str, str] = {}
    for column, decision in fields["columns"].items():
        is_unnamed = decision["reason"] == UNMATCHED_REASON
        (unnamed if is_unnamed else by_type[decision["type"]])[column] = decision["reason"]
    told = [_columns(kind, reasons) for kind, reasons in by_type.items()]
    return [*told, _columns("ignored", unnamed), _THE_REST] if unnamed else told


_THE_REST = '"*": auto in input.features (or "*" in a list of names) takes the rest'


def _columns(kind: str, reasons: Mapping[str, str]) -> str:
    first, *others = dict.fromkeys(reasons.values())
    if not others:
        return f"{len(reasons)} {kind}, {first}: {some(reasons)}"
    named = some(f"{column} ({reason})" for column, reason in reasons.items())
    return f"{len(reasons)} {kind}: {named}"


def _resumed(fields: Fields) -> list[str]:
    return [f"after {plural(fields['epochs'], 'epoch')}"]


def _network(fields: Fields) -> list[str]:
    """The widths in a row, `4 → 16 relu → 3 softmax`, and what training makes small."""
    layers = fields["layers"]
    chain = [str(fields["inputs"])]
    for layer, following in zip(layers, [*layers[1:], None], strict=True):
        if layer["kind"] != "Dense":
            chain[-1] += f", {_does(layer)}"
        elif following and following["kind"] == "BatchNormalization":  # activation comes after it
            chain.append(str(layer["units"]))
        else:
            chain.append(f"{layer['units']} {layer['activation']}")
    network = f"{' → '.join(chain)}, {fields['parameters']} parameters"
    metrics = f"; metrics {', '.join(fields['metrics'])}" if fields["metrics"] else ""
    return [network, f"loss {fields['loss']}{_SCALED[fields['target_scaling']]}{metrics}"]


_SCALED = {
    "standard": " of the standardised target",
    "log": " of the target's standardised logarithm",
    "none": " of the target as it is",
    None: "",
}
"""What numbers the loss compares, by their scaling; classes have none."""


def _does(layer: Fields) -> str:
    if layer["kind"] == "Dropout":
        return f"dropout {layer['rate']:g}"
    if layer["kind"] in ("Periodic", "Embedding"):
        return f"{layer['kind'].lower()} {layer['units']}"
    return "batch normalization" if layer["kind"] == "BatchNormalization" else layer["activation"]


def _engine(fields: Fields) -> list[str]:
    if fields["name"] != "compiled":
        return [fields["name"]]
    return [f"compiled, {'with XLA' if fields['jit_compile'] else 'as a graph'}"]


def _device(fields: Fields) -> list[str]:
    threads = fields["threads"]
    return [f"{fields['device']}, {threads} {'thread' if threads == 1 else 'threads'}"]


def _trained(fields: Fields) -> list[str]:
    epochs, best = fields["epochs"], fields["best_epoch"]
    kept = f", the weights of epoch {best} kept" if best not in (None, epochs) else ""
    count = f"{epochs} {'epoch' if epochs == 1 else 'epochs'}"
    return [f"{count} in {number(fields['seconds'])} s{kept}"]


def _baselines(fields: Fields) -> list[str]:
    absence = f"; no linear one: {fields['no_linear']}" if fields["no_linear"] else ""
    return [f"{', '.join(fields['models'])} in {number(fields['seconds'])} s{absence}"]


def _tracking(fields: Fields) -> list[str]:
    look = f"; to look: {fields['look']}" if "look" in fields else ""
    return [f"{fields['tracker']}: {fields['place']}{look}"]


def _report(fields: Fields) -> list[str]:
    return [f"{fields['page']}, made"]


def _storage(fields: Fields) -> list[str]:
    return [f"rows wait on disk, in {fields['folder']} until the end"]


def _pool(fields: Fields) -> list[str]:
    aside = fields["set_aside"]
    kept = f", and {plural(aside, 'test row')} set aside" if aside else ""
    dealt = f"({fields['split']}, seed {fields['seed']})"
    counted = f"{plural(fields['rows'], 'row')}{kept} {dealt}"
    return [f"{fields['file']}: {counted}", *fields["notes"]]


def _kept(fields: Fields) -> list[str]:
    return [f"{fields['folds']:,} of {plural(fields['of'], 'fold')}, finished before"]


def _fold(fields: Fields) -> list[str]:
    """A fold's place, the metric to judge by, and what training took."""
    repeat = f"repeat {fields['repeat']}, " if fields["repeats"] > 1 else ""
    place = f"{repeat}{fields['fold']}/{fields['of']}"
    if fields["problem"]:
        return [f"{place}  failed: {fields['problem']}"]
    metric = fields["metric"]
    scored = f"{metric} {number(fields['metrics'][metric])}" if metric else "no metric is defined"
    best = fields["best_epoch"]
    kept = f", best {best}" if best not in (None, fields["epochs"]) else ""
    took = f"{plural(fields['epochs'], 'epoch')}{kept}, {number(fields['seconds'])} s"
    return [f"{place}  {scored}  ({took})"]


WORDS: Mapping[str, Callable[[Fields], list[str]]] = MappingProxyType(
    {
        "storage": _storage,
        "data": _data,
        "target": _target,
        "features": _features,
        "network": _network,
        "engine": _engine,
        "device": _device,
        "resumed": _resumed,
        "tracking": _tracking,
        "trained": _trained,
        "baselines": _baselines,
        "report": _report,
        "pool": _pool,
        "kept": _kept,
        "fold": _fold,
        "earlier": tune_wording.earlier,
        "default": tune_wording.default,
        "trial": tune_wording.trial,
        "finalist": tune_wording.finalist,
        "nested": tune_wording.nested,
    }
)
"""The lines of an event, by its name; their label is the name itself."""


def epoch_words(fields: Fields) -> str:
    """An epoch's loss and metrics: `loss 0.4291  val_loss 0.53`, each padded to one width."""
    shown = (name for name in fields if name not in ("epoch", "of", "learning_rate"))
    return "  ".join(f"{name} {number(fields[name]):<9}" for name in shown).rstrip()


def progress_words(fields: Fields) -> str:
    """How far a fold has come, or a search: `fold 3/10  epoch 40/100`."""
    if "fold" not in fields and "done" not in fields:
        return tune_wording.progress_words(fields)
    place = f"fold {fields['done'] + 1}/{fields['folds']}"
    return f"{place}  epoch {fields['epoch']:,}/{fields['of']:,}"
