"""Export of a run as a plain script that trains the same network with pandas and Keras.

`templates/train.py.j2` is the script's template; this module provides its values: how the table is
read, how columns are encoded, and the code of network, training and evaluation.
"""

from __future__ import annotations

import ast
import codecs
import csv
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dlcli import __version__
from dlcli.columns.column_exports import ScriptCode, call_lines, literal
from dlcli.columns.graph_operations import Traced
from dlcli.columns.registry import in_order_of_types
from dlcli.config import training_choices
from dlcli.config.config_file import ConfigFile
from dlcli.config.config_schema import Config, Hidden, Output
from dlcli.config.data_section import MEMORY, Files
from dlcli.errors import DlcliError, ExportError, RunError, joined, printable
from dlcli.exports.export_folder import new_folder
from dlcli.exports.formats import FolderFormat
from dlcli.metrics.definitions import METRICS, is_higher_better
from dlcli.metrics.quantiles import middle_of
from dlcli.prediction.predictor import Predictor
from dlcli.runs.run import Run
from dlcli.schema.section import Section
from dlcli.schema.urls import Url
from dlcli.splitting import make_complete_folds
from dlcli.tables.column import USUAL_MISSING_WORDS
from dlcli.tables.database_section import DatabaseQuery
from dlcli.tables.delimited_text import read_layout
from dlcli.tables.number_notation import Notation
from dlcli.tables.source_files import expand, find
from dlcli.tables.table_formats import TableFormat, recognize

SCRIPT = "train.py"
_SETS = ("validation", "test")


def export_script(run: Run, output: Path) -> Path:
    """Write a run as a script, `train.py`, with `requirements.txt` and the split of its rows.

    Args:
        run: a training run.
        output: the folder to create.

    Returns:
        The folder.

    Raises:
        UsageError: if the folder exists or can't be created.
        ExportError: if a script can't read the table (in memory, missing, or in several files), or
            a column is monotone.
        RunError: if the run has no network or is damaged.
    """
    run.require_network()
    for feature in run.encoding.features:
        if feature.direction:
            raise ExportError(
                f"'{feature.column}' is monotone, which a script can't guarantee; export another "
                "format, such as keras or onnx"
            )
    facts = _Facts.of(run, output.resolve())
    text = _render(facts)
    ast.parse(text, SCRIPT)
    with new_folder(output) as folder:
        (folder / SCRIPT).write_text(text, encoding="utf-8")
        (folder / "requirements.txt").write_text(_requirements(facts), encoding="utf-8")
        if facts.split is not None:
            import pyarrow.csv

            pyarrow.csv.write_csv(facts.split, folder / "split.csv")
    return output


@dataclass(frozen=True)
class _Facts:
    """The facts of a run that a script depends on."""

    run: Run
    predictor: Predictor
    files: Mapping[str, str]
    """The data files by their keys in `data`, relative to the script."""
    form: Mapping[str, str | None]
    """The format of the files: `reader` and `compression`, and for CSV `delimiter` and `encoding`.
    """
    notations: Mapping[str, Notation]
    """The notation of numbers that all files share, by column."""
    split: pa.Table | None
    """Row and set of the held-out rows of the training file. For an ensemble with folds, also the
    training rows with their folds, numbered from 1. `None` if no row is held out."""

    @classmethod
    def of(cls, run: Run, output: Path) -> _Facts:
        predictor, file = run.predictor, run.config_file
        data = file.config.data
        columns = {each.column for each in predictor.encoding.features}.union(
            predictor.metric_columns
        )
        if predictor.config.ensemble is not None and predictor.config.ensemble.vary is not None:
            message = "its networks have different settings, see ensemble.vary"
            raise ExportError(f"{run.path}: {message}; a script has one definition of its network")
        if predictor.config.ensemble is not None and predictor.config.ensemble.stop_after_member:
            message = "its training ended before all networks were trained"
            raise ExportError(f"{run.path}: {message}; choose another format")
        if predictor.config.distill is not None:
            message = "it learned from an ensemble, which a script can't read"
            raise ExportError(f"{run.path}: {message}; choose another format")
        if predictor.config.data.exposure is not None:
            message = "data.exposure is set, which a script does not support"
            raise ExportError(f"{run.path}: {message}; choose another format")
        try:
            paths: dict[str, Path] = {
                key: _single_file(run, file, getattr(data, key)) for key in data.sources
            }
            forms = {path: _form(path, data.table_format, columns) for path in paths.values()}
            notations = _common_notations(predictor, [*paths.values()])
            split = _split(run, predictor, paths["train"])
        except (ExportError, RunError):
            raise
        except DlcliError as error:
            raise ExportError(f"the run's table can't be read: {error}") from None
        train = paths["train"]
        if other := next((path for path in forms if forms[path] != forms[train]), None):
            message = f"has a different format from {train}, but a script requires the same format"
            raise ExportError(f"{other}: {message}; store both as Parquet")
        files = {
            key: os.path.relpath(path.resolve(), output).replace(os.sep, "/")
            for key, path in paths.items()
        }
        return cls(run, predictor, files, forms[train], notations, split)

    @property
    def config(self) -> Config:
        return self.predictor.config

    @property
    def loss(self) -> training_choices.Loss:
        assert self.config.loss is not None  # resolved
        return self.config.loss

    @property
    def held_out(self) -> list[str]:
        """The existing sets of held-out rows."""
        stored = set(self.split["set"].to_pylist()) if self.split is not None else set()
        return [name for name in _SETS if name in stored or name in self.files]


def _single_file(run: Run, file: ConfigFile, files: Files) -> Path:
    """Return the only file of a key in `data`."""
    if isinstance(files, DatabaseQuery):
        raise ExportError(f"{run.path}: its table is in a database, but a script reads a file")
    located = [*map(file.locate, [files] if isinstance(files, str) else files)]
    if files == MEMORY:
        kind = "in memory"
    elif any(isinstance(each, Url) for each in located):
        kind = "at a URL"
    else:
        [first, *others] = expand(located)
        if isinstance(first, Path) and not first.is_dir() and not others:
            return first
        kind = "in several files"
    raise ExportError(f"{run.path}: its table is {kind}, but a script can only read one file")


def _common_notations(predictor: Predictor, files: Sequence[Path]) -> dict[str, Notation]:
    """Return the notation of numbers that all files share, by column.

    Raises:
        ExportError: if files use different notations for a column.
    """
    found = dict(predictor.encoding.notations)
    tables = [*map(predictor.read, files)] if len(files) > 1 else []
    columns = {each.column for each in predictor.encoding.features if each.reads_numbers}
    columns.update(predictor.metric_columns)
    if predictor.task.outcome != "numbers":
        columns.difference_update(predictor.task.columns)
    for name in sorted(columns):
        ways = {table.notations.get(name, Notation()): table.file for table in tables}
        if len(ways) < 2:
            continue
        parts = [table.column(name) for table in tables]
        fitting = (way for way in ways if all(part.is_written(way) for part in parts))
        if (way := next(fitting, None)) is None:
            message = (
                f"column '{name}' has different number notations in {joined([*ways.values()])}"
            )
            way_out = "write its numbers like -1234.5"
            raise ExportError(f"{message}, but a script requires a single one; {way_out}")
        found[name] = way
    return found


def _split(run: Run, predictor: Predictor, file: Path) -> pa.Table | None:
    """Return rows of the training file with their sets and folds, see `_Facts.split`."""
    config = predictor.config
    sets = {name: name for name in _SETS if isinstance(getattr(config.data, name), float)}
    if config.ensemble_folds is not None:
        sets["validation"] = "train"  # out-of-fold
    if not sets:
        return None
    stored = run.required_predictions.table.select(["row", "split"]).sort_by("row").to_pylist()
    kept = {each["row"]: sets[each["split"]] for each in stored if each["split"] in sets}
    split = pa.table({"row": [*kept], "set": [*kept.values()]})
    if config.ensemble_folds is None:
        return split
    assert config.data.split is not None  # resolved
    rows = np.array([row for row, name in kept.items() if name == "train"])
    train, classes = predictor.read(file).take(rows - 1), predictor.task.class_column
    folds = make_complete_folds(
        train, config.data.split, classes, config.ensemble_folds, config.seed
    )
    fold_of = {row: at for at, fold in enumerate(folds, 1) for row in rows[fold.held_out].tolist()}
    return split.append_column("fold", [[fold_of.get(row) for row in kept]])


def _form(path: Path, form: TableFormat, columns: Set[str]) -> dict[str, str | None]:
    """Return how pandas reads a file.

    Raises:
        ExportError: if pandas can't read the file, or columns are missing in the header.
    """
    (stored,) = find(path)
    reader, compression = recognize(stored.head(), stored.file), stored.compression
    if stored.head().removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"["):
        raise ExportError(f"{path}: a script can't read a JSON array; store it as JSON lines")
    if reader in ("arrow", "excel") or (reader == "parquet" and compression):
        raise ExportError(f"{path}: a script can't read it; store it as uncompressed Parquet")
    found: dict[str, str | None] = {"reader": reader, "compression": compression}
    if reader != "csv":
        return found
    if form != TableFormat(form.format, absent=form.absent):
        message = "a script can't read it without the layout that data.header and the like set"
        raise ExportError(f"{path}: {message}; store it as Parquet")
    encoding, delimiter = read_layout(stored, form)
    with stored.open() as stream, suppress(csv.Error):
        text = io.TextIOWrapper(stream, encoding=encoding, newline="")
        header = next(csv.reader(text, delimiter=delimiter), [])
        if columns <= {name.strip() for name in header}:
            return {**found, "delimiter": delimiter, "encoding": encoding}
    raise ExportError(f"{path}: a script can't read its header; store it as Parquet")


def _requirements(facts: _Facts) -> str:
    lines = ["numpy>=2", "pandas>=2.2", "tensorflow>=2.18", "keras>=3.10"]
    if facts.form["reader"] == "parquet":
        lines.append("pyarrow>=18")
    if facts.form["compression"] == "zstd":
        lines.append("zstandard>=0.23")
    for feature in facts.predictor.encoding.features:
        lines += feature.script_code.packages
    return "\n".join(sorted({*lines})) + "\n"


# The script


def _render(facts: _Facts) -> str:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(  # noqa: S701  (of Python, not HTML)
        loader=ChoiceLoader([PackageLoader("dlcli.exports"), PackageLoader("dlcli.columns")]),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["literal"] = literal
    return environment.get_template("train.py.j2").render(
        facts=facts,
        config=facts.config,
        predictor=facts.predictor,
        task=facts.predictor.task,
        form=facts.form,
        version=__version__,
        **_heading(facts),
        **_feature_values(facts),
        predicted=_predicted(facts),
        is_weighted=_is_weighted(facts.config),
        stopping=facts.config.early_stopping,
        network=_network_code(facts),
        training=_training_code(facts),
        weighting=_weighting_code(facts),
        evaluation=_evaluation_code(facts),
    )


_PRINTED = ("rmse", "mae", "r2", "accuracy")
"""The metrics that the script prints, see `_evaluation_code`."""


def _heading(facts: _Facts) -> dict[str, str]:
    """Return the run's name, and its metrics on the evaluation rows."""
    metrics = facts.run.metrics
    evaluated = next((name for name in ("test", "validation", "train") if name in metrics), "")
    shown = [
        f"{name} {value:.4g}"
        for name, value in metrics.get(evaluated, {}).items()
        if name in _PRINTED and isinstance(value, int | float)
    ]
    name = re.sub(r'[\\"]', "_", printable(facts.run.path.resolve().name))
    return {"run": name, "evaluated": evaluated, "metrics": ", ".join(shown)}


def _feature_values(facts: _Facts) -> dict[str, Any]:
    """Return the columns with the settings of their encoding, and the code for them."""
    features, config = facts.predictor.encoding.features, facts.config
    inputs = _input_names(facts)
    alike: dict[str, tuple[dict[str, Any], list[str]]] = {}
    codes: dict[str, ScriptCode] = {}
    imports = {line for feature in features for line in feature.script_code.imports}
    for feature in features:
        spec = feature.script_settings((config.input.features or {})[feature.column], config.input)
        if feature.column in inputs:
            spec["input"] = inputs[feature.column]
        alike.setdefault(repr(spec), (spec, []))[1].append(feature.column)
        codes.setdefault(spec["type"], feature.script_code)
    specs = [spec for spec, _ in alike.values()]
    missing = {
        name: found
        for name in [*(each.column for each in features), *facts.predictor.task.columns]
        if (found := _missing_words(facts, name))
    }
    templates = {
        template: [spec for spec in specs if codes[spec["type"]].template == template]
        for each in in_order_of_types(features)
        if (template := each.script_code.template)
    }
    return {
        "features": [*alike.values()],
        "kinds": [*codes],
        "fits": {kind: code.fit for kind, code in codes.items() if code.fit},
        "templates": templates,
        "imports": _imports(facts, imports),
        "missing": missing,
        "number_words": any(
            word.lstrip("-").replace(".", "", 1).isdigit()
            for words in missing.values()
            for word in words
        ),
        "notations": {
            name: each.replacements for name, each in facts.notations.items() if not each.is_plain
        },
        **{name: value for code in codes.values() for name, value in code.values.items()},
    }


def _imports(facts: _Facts, needed: Iterable[str]) -> dict[str, list[str]]:
    """Return the import statements: for Python's modules, and for packages."""
    lines = {*needed, "import json", "from pathlib import Path", "import numpy as np"}
    lines |= {"import pandas as pd", "from tensorflow import keras"}
    reader = {"gzip": "import gzip", "zstd": "import zstandard"}
    if facts.form["reader"] == "jsonl" and facts.form["compression"] in reader:
        lines.add(reader[facts.form["compression"]])
    ordered = sorted(lines, key=lambda line: (line.startswith("from"), line))
    standard = [line for line in ordered if line.split()[1] in sys.stdlib_module_names]
    return {"standard": standard, "others": [each for each in ordered if each not in standard]}


def _missing_words(facts: _Facts, column: str) -> list[str]:
    """Return the missing words of a column.

    Default missing words are omitted for numeric columns, where every text that is not a number is
    missing.
    """
    words = facts.predictor.missing_words(column)
    return [] if words == USUAL_MISSING_WORDS else [*words]


def _input_names(facts: _Facts) -> dict[str, str]:
    """Return unique names for the Keras inputs of columns with separate layers."""
    taken = {"numbers", *(layer.name for layer in facts.predictor.network.layers)}
    names: dict[str, str] = {}
    for feature in facts.predictor.encoding.features:
        if feature.has_layers:
            plain = re.sub(r"\W+", "_", feature.column.lower(), flags=re.ASCII).strip("_")
            plain = plain if plain[:1].isalpha() else f"column_{plain}".rstrip("_")
            numbered = (f"{plain}_{number}" for number in count(2))
            name = next(each for each in chain([plain], numbered) if each not in taken)
            names[feature.column] = name
            taken.add(name)
    return names


# Code


def _predicted(facts: _Facts) -> str:
    """Return the meaning of a prediction, for a docstring."""
    task, loss = facts.predictor.task, facts.loss
    if task.outcome == "numbers":
        return "the values in the target's unit"
    if loss.output == "margin":
        return f"the margin, above 0 for '{task.classes[1]}',"
    if task.outcome == "classes" and facts.predictor.network.outputs == 1:
        return f"the probability of '{task.classes[1]}'"
    return f"the probability of each {'class' if task.outcome == 'classes' else 'label'}"


def _is_weighted(config: Config) -> bool:
    return config.data.sample_weight is not None or config.class_weight is not None


def _formula_code(loss: training_choices.Loss) -> Iterator[str]:
    """Yield the function of a loss that Keras lacks, one operation per line."""
    assert loss.formula is not None
    lines: list[str] = []

    def apply(name: str, *operands: object, **options: object) -> str:
        # Keras has NumPy's functions under the same names, see `Traced`.
        arguments = [each if isinstance(each, str) else repr(each) for each in operands]
        arguments += [f"{key}={value!r}" for key, value in options.items()]
        lines.append(f"    x{len(lines)} = keras.ops.{name}({', '.join(arguments)})")
        return f"x{len(lines) - 1}"

    result = loss.formula(Traced(apply, "true"), Traced(apply, "output")).value
    yield from (f"def {loss.name}(true, output):", *lines)
    yield from (f"    return keras.ops.mean({result}, axis=-1)", "")


def _call(section: Section, module: str) -> str:
    """Return the call of the Keras object for a section, with non-default arguments."""
    changed = section.model_dump(exclude_defaults=True, exclude={"name"})
    named = [f"{name}={_plain(value)}" for name, value in changed.items() if value is not None]
    return f"keras.{module}.{type(section).__name__}({', '.join(named)})"


def _plain(value: object) -> str:
    return literal([*value] if isinstance(value, tuple) else value)


def _network_code(facts: _Facts) -> Iterator[str]:
    features, config = facts.predictor.encoding.features, facts.config
    names = _input_names(facts)
    has_numbers = len(names) < len(features)
    yield "inputs = {}"
    if has_numbers:
        yield 'width = encode(train.head(1))["numbers"].shape[1]'
        yield 'x = inputs["numbers"] = keras.Input((width,), name="numbers")'
    if names:
        yield f"parts = [{'x' * has_numbers}]"
        for each in features:
            if each.column in names:
                yield from each.script_layers(names[each.column])
        yield "x = keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0]"
    if (speed := config.input.scaling_multiplier) is not None:
        yield f"# A learned weight for each input, initially 1, at {speed:g} times the"
        yield "# learning rate. dlcli uses one for each column."
        arguments = ['"ri,i->ri"', "output_shape=(x.shape[1],)", 'kernel_initializer="zeros"']
        arguments.append('name="scaling_layer"')
        yield from call_lines("changes = keras.layers.EinsumDense", arguments, "(x)")
        yield f"x = x + {speed!r} * changes"
    for number, section in enumerate(config.hidden, start=1):
        yield from _hidden_code(f"hidden_{number}", section)
    yield from _dense_code("output", config.output)
    yield "return keras.Model(inputs, x)"


def _hidden_code(name: str, section: Hidden) -> Iterator[str]:
    normalization = section.batch_normalization
    yield from _dense_code(name, section, has_activation=normalization is None)
    if normalization is not None:
        yield f"x = {_call(normalization, 'layers')}(x)"
        yield from _activation_code(section)
    if section.dropout:
        yield f"x = keras.layers.Dropout({section.dropout!r})(x)"


def _dense_code(
    name: str, section: Hidden | Output, *, has_activation: bool = True
) -> Iterator[str]:
    settings = [str(section.units)]
    activation = section.activation
    assert activation is not None  # resolved
    is_plain = has_activation and activation.is_default
    if is_plain and activation.name != "linear":
        settings.append(f'activation="{activation.name}"')
    if not section.use_bias:
        settings.append("use_bias=False")
    for role, usual in (("kernel", "glorot_uniform"), ("bias", "zeros")):
        initializer = getattr(section, f"{role}_initializer")
        if initializer.name != usual:
            settings.append(f"{role}_initializer={_call(initializer, 'initializers')}")
        if (penalty := getattr(section, f"{role}_regularizer")) is not None:
            settings.append(f"{role}_regularizer={_call(penalty, 'regularizers')}")
    if name == "output":
        settings.append('dtype="float32"')
    yield from call_lines("x = keras.layers.Dense", [*settings, f'name="{name}"'], "(x)")
    if has_activation and not is_plain:
        yield from _activation_code(section)


def _activation_code(section: Hidden | Output) -> Iterator[str]:
    activation = section.activation
    assert activation is not None  # resolved
    if activation.is_default:
        yield f'x = keras.layers.Activation("{activation.name}")(x)'
    else:
        options = activation.model_dump(exclude={"name"}, exclude_none=True)
        named = ", ".join(f"{name}={value!r}" for name, value in options.items())
        yield f"x = keras.activations.{activation.name}(x, {named})"


def _training_code(facts: _Facts) -> Iterator[str]:
    config, section = facts.config, facts.loss
    rate, lines = _rate_code(config)
    yield from lines
    yield from _optimizer_code(config, rate)
    metrics = dict(_epoch_metrics(facts))
    if metrics:
        yield "metrics = ["
        yield from (f"    {each}," for each in metrics.values())
        yield "]"
    weighted = "weighted_metrics" if config.data.sample_weight else "metrics"
    loss = _call(section, "losses")
    if section.formula is not None:
        yield from _formula_code(section)
        loss = section.name
    arguments = ["optimizer", f"loss={loss}"]
    yield from call_lines("model.compile", [*arguments, *[f"{weighted}=metrics"] * bool(metrics)])
    callbacks = [*_callbacks(config, {"loss", *metrics})]
    if callbacks:
        yield "callbacks = ["
        for each in callbacks:
            yield from (f"    {line}" for line in each)
        yield "]"
    arguments = ["inputs", "y", *["sample_weight=weights"] * _is_weighted(config)]
    arguments += ["validation_data=validation"]
    arguments += [f"epochs={config.last_epoch}", f"batch_size={config.batch_size}"]
    arguments += ["callbacks=callbacks"] * bool(callbacks) + ["verbose=2"]
    yield from call_lines("model.fit", arguments)


def _optimizer_code(config: Config, rate: str) -> Iterator[str]:
    section = config.optimizer
    excluded = config.exclude_from_weight_decay
    options = section.model_dump(exclude_defaults=True, exclude={"name", "learning_rate"})
    settings = [f"learning_rate={rate}", *(f"{key}={_plain(v)}" for key, v in options.items())]
    kind = f"keras.optimizers.{type(section).__name__}"
    multipliers = config.learning_rate_multipliers.model_dump(exclude_defaults=True)
    if multipliers or excluded:
        yield from _KIND_OF_WEIGHT
    if multipliers:
        yield from (line.format(kind=kind) for line in _MULTIPLIED)
        if multipliers.get("kernels") == "inverse_sqrt_fan_in":
            multipliers["kernels"] = None
        yield f"multipliers = {literal(multipliers)}"
        kind = "Multiplied"
    yield from call_lines(f"optimizer = {kind}", settings)
    if excluded:
        yield f"excluded = {literal([*excluded])}"
        weights = "weight for weight in model.trainable_variables if kind_of(weight) in excluded"
        yield f"optimizer.exclude_from_weight_decay([{weights}])"


_KIND_OF_WEIGHT = """\
def kind_of(weight):
    layer = weight.path.split("/")[-2]
    if layer == "scaling_layer":
        return layer
    if layer.startswith(("hidden_", "output", "batch_normalization")):
        return "kernels" if weight.name == "kernel" else "biases"
    return "encodings"
""".splitlines()
_MULTIPLIED = """\
class Multiplied({kind}):
    def update_step(self, gradient, variable, learning_rate):
        weight = model.trainable_variables[self._get_variable_index(variable)]
        multiplier = multipliers.get(kind_of(weight), 1.0)
        if multiplier is None:
            multiplier = weight.shape[0] ** -0.5
        super().update_step(gradient, variable, learning_rate * multiplier)
""".splitlines()


def _rate_code(config: Config) -> tuple[str, list[str]]:
    """Return the learning rate, and lines before it."""
    schedule, rate = config.learning_rate_schedule, repr(config.optimizer.learning_rate)
    if isinstance(schedule, training_choices.ExponentialDecay):
        kind = "ExponentialDecay"
        arguments = [rate, f"{schedule.decay_epochs!r} * steps", repr(schedule.decay_rate)]
        arguments += ["staircase=True"] * schedule.staircase
    elif isinstance(schedule, training_choices.PiecewiseConstant):
        kind = "PiecewiseConstantDecay"
        boundaries = f"[epoch * steps - 1 for epoch in {[*schedule.boundaries]}]"
        arguments = [boundaries, f"{[config.optimizer.learning_rate, *schedule.values]}"]
    elif isinstance(schedule, training_choices.CosineDecay):
        kind, warmup = "CosineDecay", schedule.warmup_epochs
        epochs = schedule.decay_epochs or config.epochs - warmup
        arguments = ["0.0" if warmup else rate, f"decay_steps=round({epochs!r} * steps)"]
        arguments += [f"alpha={schedule.alpha!r}"] * bool(schedule.alpha)
        if warmup:
            arguments += [f"warmup_target={rate}", f"warmup_steps=round({warmup!r} * steps)"]
    elif isinstance(schedule, training_choices.CosineDecayRestarts):
        kind, first = "CosineDecayRestarts", f"{schedule.first_decay(config.epochs)!r} * steps"
        multiples = [f"t_mul={schedule.t_mul!r}", f"m_mul={schedule.m_mul!r}"]
        arguments = [rate, first, *multiples, f"alpha={schedule.alpha!r}"]
    else:
        return rate, []
    steps = f"steps = -(-len(y) // {config.batch_size})  # in an epoch"
    call = call_lines(f"rate = keras.optimizers.schedules.{kind}", arguments)
    return "rate", [steps, *call]


def _epoch_metrics(facts: _Facts) -> Iterator[tuple[str, str]]:
    """Yield name and code of each epoch metric that Keras also has.

    Metrics of scaled numbers are in the scaled unit.
    """
    outputs, loss = facts.predictor.network.outputs, facts.loss
    kind = "classes" if loss.output == "shares" else facts.predictor.task.rows_type.kind
    for name in facts.config.metrics or ():
        metric = METRICS[name]
        if metric.script_units in (None, outputs) and kind in metric.script:
            code = metric.script[kind]
            yield name, code.replace("Sparse", "") if loss.one_hot else code


def _callbacks(config: Config, known: Set[str]) -> Iterator[list[str]]:
    """Yield the lines of each callback; the loss replaces an unknown metric."""
    schedule, stopping = config.learning_rate_schedule, config.early_stopping
    plateau = schedule if isinstance(schedule, training_choices.ReduceOnPlateau) else None
    for kind, section in (("ReduceLROnPlateau", plateau), ("EarlyStopping", stopping)):
        if section is None:
            continue
        options = section.model_dump(exclude={"name"})
        tolerates = bool(options.pop("tolerance", 0.0))
        made = "ToleratingEarlyStopping" if tolerates else f"keras.callbacks.{kind}"
        name = str(options["monitor"]).removeprefix("val_")
        if name not in known:
            options["monitor"] = str(options["monitor"]).replace(name, "loss")
            name = "loss"
        options["mode"] = "max" if is_higher_better(name) else "min"
        kept = ("min_delta", "patience", "restore_best_weights")
        shown = {k: v for k, v in options.items() if v or k in kept}
        arguments = [f"{name}={_plain(value)}" for name, value in shown.items()]
        lines = [*call_lines(made, arguments)]
        yield [*lines[:-1], f"{lines[-1]},"]


def _weighting_code(facts: _Facts) -> Iterator[str]:
    config, task = facts.config, facts.predictor.task
    weight, classes = config.data.sample_weight, config.class_weight
    yield (
        "weights = np.ones(len(table))"
        if weight is None
        else f"weights = as_number(table[{literal(weight)}]).to_numpy()"
    )
    if classes is not None:
        yield "codes = class_codes(table)"
        if isinstance(classes, Mapping):
            factors = [classes.get(name, 1.0) for name in task.classes]
            yield f"factors = np.array({factors!r})"
        else:
            yield "# Each class has the same total weight."
            yield "sums = np.bincount(codes, weights, minlength=len(CLASSES))"
            yield "factors = sums.sum() / ((sums > 0).sum() * np.where(sums > 0, sums, 1))"
        yield "weights = weights * factors[codes]"
    yield 'return weights.astype("float32")'


def _evaluation_code(facts: _Facts) -> Iterator[str]:
    sets = ", ".join(f"{literal(name)}: {name}" for name in ("train", *facts.held_out))
    task = facts.predictor.task
    yield f"for name, rows in {{{sets}}}.items():"
    yield "    predicted = predict(rows)"
    weight, weighting = facts.config.data.sample_weight, ""
    if weight is not None:
        yield f"    weights = as_number(rows[{literal(weight)}]).to_numpy()"
        weighting = ", weights=weights"
    if task.outcome == "numbers":
        yield "    true = rows[TARGET].apply(as_number).to_numpy()"
        if task.levels:
            middle = middle_of(task.levels)
            note = f"  # the quantile of the level {task.levels[middle]:g}"
            yield f"    predicted = predicted[:, [{middle}]]{note}"
        yield "    errors = predicted - true"
        yield f"    squares = np.average(errors**2, axis=0{weighting})"
        yield f"    center = np.average(true, axis=0{weighting})"
        yield f"    spread = np.average((true - center) ** 2, axis=0{weighting})"
        yield f"    mae = np.mean(np.average(np.abs(errors), axis=0{weighting}))"
        note = "  # over the columns" if task.width > 1 else ""
        yield f"    rmse, r2 = np.mean(np.sqrt(squares)), np.mean(1 - squares / spread){note}"
        yield '    print(f"{name}: rmse {rmse:.4g}, mae {mae:.4g}, r2 {r2:.4g}")'
        return
    if facts.predictor.network.outputs == 1 or task.outcome == "labels":
        border = f"{task.threshold:.6g}"
        yield f"    is_right = (predicted > {border}) == encode_target(rows)"
        yield f"    accuracy = np.average(is_right.mean(axis=1){weighting})"
    else:
        chosen = "predicted.argmax(axis=1)"
        if task.cost_matrix is not None:
            chosen = "(predicted @ COSTS).argmin(axis=1)  # the least expected cost"
        elif task.class_weights:
            chosen = "(predicted * CLASS_WEIGHTS).argmax(axis=1)"
        yield f"    decided = {chosen}"
        yield "    is_right = decided == class_codes(rows)"
        yield f"    accuracy = np.average(is_right{weighting})"
    yield '    print(f"{name}: accuracy {accuracy:.4g}")'


FORMAT = FolderFormat(export_script)
