"""Which settings a search may vary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from dlcli.config.paths import Path, format_path, parse_path
from dlcli.errors import did_you_mean

_FIXED: Mapping[Path, str] = {
    ("data",): "candidates are compared on the same rows",
    ("name",): "it names the run, and changes no network",
    ("tune",): "it is the search itself",
    ("metrics",): "they show what is learned, and don't change it; tune.metric is what judges",
    ("initial_weights",): "they fit networks of one shape",
    ("output", "units"): "they follow from the target",
    ("engine",): "it changes how fast a network learns, not what",
    ("device",): "it changes how fast a network learns, not what",
    ("threads",): "they change how fast a network learns, not what",
    ("checkpoint",): "it changes how a run is stored, not what a network learns",
}
"""What is the same for all candidates, and why."""
_OTHER_LOSS = "candidates are compared by their loss, which it changes; give tune another metric"
_UNIT_OF_LOSS: Mapping[Path, str] = {
    ("loss",): _OTHER_LOSS,
    ("output", "activation"): _OTHER_LOSS,  # numbers are scaled for a linear one alone
    ("output", "scaling"): _OTHER_LOSS,
}
"""What must be the same where losses are compared."""
_CHOICES = ("optimizer", "learning_rate_schedule", "loss")
"""What a name can be chosen for beside its parameters."""


def space_faults(keys: Mapping[str, str | None], *, by_loss: bool) -> Iterator[tuple[str, str]]:
    """Yields each key of a space that can't be varied, with the reason.

    Args:
        keys: paths as `--set` takes them, each with the first setting below it, if several are.
        by_loss: whether candidates are compared by their loss.
    """
    return _faults(keys, lambda path, key: _fault(path, keys[key], by_loss=by_loss))


def layer_faults(keys: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yields each key of what varies in all hidden layers alike that can't be, with the reason."""
    return _faults(keys, lambda path, key: None)


def _faults(
    keys: Iterable[str], fault_of: Callable[[Path, str], str | None]
) -> Iterator[tuple[str, str]]:
    paths: dict[str, Path] = {}
    for key in keys:
        try:
            path = parse_path(key)
        except ValueError as error:
            yield key, str(error)
            continue
        if fault := fault_of(path, key) or _overlap(path, paths):
            yield key, fault
        paths[key] = path


def _fault(path: Path, below: str | None, *, by_loss: bool) -> str | None:
    if below is not None and path != ("hidden",):
        if len(path) == 1 and (near := did_you_mean(str(path[0]), ["hidden"])):
            return f"unknown key{near}"
        whole = format_path((*path, below))
        return f"expected each setting by its whole path, as in {whole}: {{low: ..., high: ...}}"
    if path[0] == "hidden" and len(path) > 1 and isinstance(path[1], str):
        rest = format_path(path[1:])
        return f"expected hidden: {{{rest}: ...}} for all layers alike, or hidden[0].{rest} for one"
    fixed = {**_FIXED, **(_UNIT_OF_LOSS if by_loss else {})}
    for other, reason in fixed.items():
        if path[: len(other)] == other:
            return f"can't be varied: {reason}"
        if other[: len(path)] == path:
            return f"can't be varied, since '{format_path(other)}' can't: {reason}"
    return None


def _overlap(path: Path, others: Mapping[str, Path]) -> str | None:
    """What is wrong with a path that leads to, into or around what another one varies."""
    for key, other in others.items():
        shorter, longer = sorted((path, other), key=len)
        if longer[: len(shorter)] != shorter:
            continue
        if longer == shorter:
            return f"is varied twice, here and as '{key}'"
        whole, part = format_path(shorter), format_path(longer)
        way_out = f"; vary '{whole}.name' in its place" if whole in _CHOICES else ""
        return f"'{part}' is a part of '{whole}', which is varied, too{way_out}"
    return None
