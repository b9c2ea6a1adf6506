"""What happens in a search, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlcli.cli.text import number
from dlcli.comparison import VERDICTS
from dlcli.config import printable
from dlcli.errors import plural

Fields = Mapping[str, Any]

_LONGEST = 60


def earlier(fields: Fields) -> list[str]:
    """How many trials had ended before."""
    of = f" of {fields['of']:,}" if fields["of"] else ""
    return [f"{plural(fields['trials'], 'trial')}{of}, ended before"]


def default(fields: Fields) -> list[str]:
    """What the config as given came to."""
    return [f"{_came_to(fields)}: the config as given"]


def trial(fields: Fields) -> list[str]:
    """A trial, with the values that were tried."""
    place = f"{fields['ended']:,}" + (f"/{fields['of']:,}" if fields["of"] else "")
    mark = ", the best so far" if fields["best"] == fields["number"] else ""
    return [
        f"#{fields['number']}  {place}  {_came_to(fields, mark)}: {values_words(fields['values'])}"
    ]


def finalist(fields: Fields) -> list[str]:
    """A config that was trained in full."""
    score = number(fields["metrics"].get(fields["metric"]))
    judged = f": {verdict_words(fields)}" if fields["verdict"] is not None else ""
    return [f"{fields['name']}: {fields['split']} {fields['metric']} {score}{judged}"]


def nested(fields: Fields) -> list[str]:
    """An outer fold of the search judged as a whole."""
    found = f"found {number(fields['inner'])}, rows that it did not see say"
    return [f"outer fold {fields['fold']}/{fields['of']}: {found} {number(fields['value'])}"]


def values_words(values: Mapping[str, object]) -> str:
    """What was varied: `optimizer.learning_rate 0.01, batch_size 32`."""
    return ", ".join(f"{printable(path)} {_shown(value)}" for path, value in values.items())


def verdict_words(finalist: Fields) -> str:
    """Whether a finalist beats the default config by more than noise."""
    gain, verdict = finalist["gain"], finalist["verdict"]
    if gain is None or gain["value"] is None or verdict == "unknown":
        return "can't be told" + (f": {gain['reason']}" if gain and gain["reason"] else "")
    ends = "" if gain["lower"] is None else f" [{number(gain['lower'])}, {number(gain['upper'])}]"
    difference = f"{gain['value']:+.4g}"
    return f"{finalist['metric']} {difference}{ends}: {VERDICTS[verdict]}"


def progress_words(fields: Fields) -> str:
    """How far a search has come: `trial 13/50  best val_loss 0.1234 (#4)`."""
    if "finalist" in fields:
        return f"training {fields['finalist']} in full"
    of = f"/{fields['of']:,}" if fields["of"] else ""
    best = ""
    if fields["best"] is not None:
        best = f"  best {fields['metric']} {number(fields['best_value'])} (#{fields['best']})"
    return f"trial {fields['trial']:,}{of}{best}"


def _came_to(fields: Fields, mark: str = "") -> str:
    if fields["state"] == "failed":
        return f"failed, {printable(fields['problem'])}"
    value = f"{fields['metric']} {number(fields['value'])}"
    if fields["state"] == "pruned":
        after = f"after {plural(len(fields['folds']), 'fold')} " if fields["folds"] else ""
        return f"given up {after}at {value}"
    parameters = plural(fields["parameters"], "parameter")
    took = f"{parameters}, {plural(fields['epochs'], 'epoch')}, {number(fields['seconds'])} s"
    return f"{value}{mark}  ({took})"


def _shown(value: object) -> str:
    """A value as YAML has it, cut if it is long."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    text = number(value) if isinstance(value, float) else printable(str(value))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
