"""Values and combinations of values that the schema accepts and rejects, and its docs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import get_args

import pytest
from pydantic import ValidationError

from dlcli.config.config_schema import Config
from dlcli.schema.section import Choice, Section

Load = Callable[..., Config]
Problems = Callable[..., list[str]]


def descendants(section: type[Section]) -> Iterator[type[Section]]:
    for below in section.__subclasses__():
        yield below
        yield from descendants(below)


SECTIONS = [
    section
    for section in descendants(Section)
    if section.__module__.startswith("dlcli.config.") and not section.__name__.startswith("_")
]


def decides(section: type[Section], key: str) -> bool:
    """Return whether a key names the section itself, which the section's docstring explains."""
    is_type = key == "type" and len(get_args(section.model_fields[key].annotation)) == 1
    return is_type or (key == "name" and issubclass(section, Choice))


def test_every_section_rejects_unknown_keys_and_is_frozen() -> None:
    for section in SECTIONS:
        with pytest.raises(ValidationError) as caught:
            section.model_validate({"zzzz": 1})
        messages = {line["loc"]: line["msg"] for line in caught.value.errors()}
        assert messages["zzzz",] == f"unknown key; allowed: {', '.join(section.model_fields)}"
        with pytest.raises(ValidationError, match="frozen"):
            setattr(section.model_construct(), next(iter(section.model_fields)), 1)


def test_every_section_and_field_is_documented() -> None:
    for section in SECTIONS:
        assert section.__dict__["__doc__"].rstrip().endswith("."), section
        docs = section.field_docs()
        named = [key for key in section.model_fields if not decides(section, key)]
        assert list(docs) == named, section
        assert all(doc.text.endswith(".") for doc in docs.values()), section


def test_a_loaded_config_cannot_be_changed(load_with: Load) -> None:
    config = load_with("optimizer: adam\n")
    with pytest.raises(ValidationError, match="frozen"):
        config.epochs = 5  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        config.optimizer.learning_rate = 5.0  # type: ignore[misc]


POSITIVE = "expected a positive integer"
FROM_0 = "expected an integer of 0 or more"
ABOVE_0 = "expected a number above 0"
WORDS = "expected auto, a list of words in quotes, or a mapping from columns to such lists"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("epochs=ten", f"{POSITIVE}, got 'ten'"),
        ("epochs=10.0", f"{POSITIVE}, got 10.0"),
        ("epochs=true", f"{POSITIVE}, got true"),
        ("epochs='10'", f"{POSITIVE}, got '10'"),
        ("epochs=0", f"{POSITIVE}, got 0"),
        ("epochs=[1]", f"{POSITIVE}, got [1]"),
        ("epochs={a: 1}", f'{POSITIVE}, got {{"a": 1}}'),
        ("epochs=", f"{POSITIVE}, got nothing; fill it in"),
        ("batch_size=-1", f"{POSITIVE}, got -1"),
        ("batch_size=2147483648", f"{POSITIVE}, got 2147483648"),
        ("seed=-1", "expected an integer from 0 to 4,294,967,295, got -1"),
        ("seed=4294967296", "expected an integer from 0 to 4,294,967,295, got 4294967296"),
        ("seed=false", "expected an integer from 0 to 4,294,967,295, got false"),
        ("threads=0", "expected auto, or a positive integer up to 1,024, got 0"),
        ("threads=true", "expected auto, or a positive integer up to 1,024, got true"),
        ("threads=all", "expected auto, or a positive integer up to 1,024, got 'all'"),
        ("output.units=0", "expected a positive integer up to 1,000,000, got 0"),
        ("output.units=true", "expected a positive integer up to 1,000,000, got true"),
        ("output.units=1.5", "expected a positive integer up to 1,000,000, got 1.5"),
        ("output.units=1000001", "expected a positive integer up to 1,000,000, got 1000001"),
        ("output.use_bias=1", "expected true or false, got 1"),
        ("output.use_bias=yes", "expected true or false, got 'yes'"),
        ("optimizer={name: sgd, learning_rate: 0}", f"{ABOVE_0}, got 0"),
        ("optimizer={name: sgd, learning_rate: -1.5}", f"{ABOVE_0}, got -1.5"),
        ("optimizer={name: sgd, learning_rate: .inf}", f"{ABOVE_0}, got inf"),
        ("optimizer={name: sgd, learning_rate: .nan}", f"{ABOVE_0}, got nan"),
        ("optimizer={name: sgd, learning_rate: true}", f"{ABOVE_0}, got true"),
        ("optimizer={name: sgd, learning_rate: fast}", f"{ABOVE_0}, got 'fast'"),
        ("early_stopping.patience=-1", f"{FROM_0}, got -1"),
        ("early_stopping.patience=1.0", f"{FROM_0}, got 1.0"),
        ("early_stopping.monitor=5", "expected the name of a loss or metric, got 5"),
        ("data.validation=1", "expected a share of the rows above 0 and below 1, or a file, got 1"),
        ("data.validation=0", "expected a share of the rows above 0 and below 1, or a file, got 0"),
        ("data.validation=true", "expected a share of the rows above 0 and below 1, or a file,"
                                 " got true"),
        ("data.train=5", "expected a file, got 5; write '5' in quotes"),
        ("data.train=''", "expected a file, got ''"),
        ("data.sample_weight=5", "expected a column name, got 5; write '5' in quotes"),
        ("data.missing=NA", f"{WORDS}, got 'NA'; write [\"NA\"]"),
        ("data.missing=[-1]", f"{WORDS}, got [-1]"),
        ("data.missing={x: '-1'}", f"{WORDS}, got {{\"x\": \"-1\"}}"),
        ("data.target=[]", "expected a column name, or a list of column names, got []"),
        ("data.target=2024", "expected a column name, or a list of column names, got 2024;"
                             " write '2024' in quotes"),
        ("data.target=true", "expected a column name, or a list of column names, got true;"
                             " write 'true' in quotes"),
        ("metrics=accuracy", "expected a list, got 'accuracy'; write [accuracy]"),
        ("engine=compield", "unknown engine 'compield'; did you mean 'compiled'?"),
        ("metrics=5", "expected a list, got 5"),
        ("input=5", "expected keys and values, got 5"),
        ("name=../up", "expected up to 64 characters (A-Z a-z 0-9 . _ -), beginning with a letter or digit,"
                       " got '../up'"),
        ("name=.hidden", "expected up to 64 characters (A-Z a-z 0-9 . _ -), beginning with a letter or digit,"
                         " got '.hidden'"),
        ("name=" + "a" * 65, "expected up to 64 characters (A-Z a-z 0-9 . _ -), beginning with a letter or digit,"
                             f" got '{'a' * 56}..."),
        ("class_weight={a: 0}", "expected balanced, or a weight above 0 for each class,"
                                ' got {"a": 0}'),
        ("class_weight={}", "expected balanced, or a weight above 0 for each class, got {}"),
    ],
)  # fmt: skip
def test_an_invalid_value_is_reported_with_the_expected_one(
    problems_with: Problems, argument: str, message: str
) -> None:
    (problem,) = problems_with("", argument)
    assert problem.endswith(f": {message}")


FILL_IN = "got nothing; fill it in"
OR_LEAVE_OUT = f"{FILL_IN}, or omit the key for its default"


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("optimizer", f"expected the name of an optimizer, {OR_LEAVE_OUT}"),
        ("input", f"expected keys and values, {OR_LEAVE_OUT}"),
        ("batch_size", f"{POSITIVE}, {OR_LEAVE_OUT}"),
        ("device", f"expected 'auto', 'cpu' or 'gpu', {OR_LEAVE_OUT}"),
        ("input.scaling", f"expected the name of a scaling, {OR_LEAVE_OUT}"),
        ("input.features.a", f"expected the name of a feature type, {FILL_IN}"),
        ("data", f"expected keys and values, {FILL_IN}"),
        ("data.train", f"expected a file, {FILL_IN}"),
        ("data.target", f"expected keys and values, {FILL_IN}"),
        ("hidden", f"expected a list, {FILL_IN}"),
        ("hidden[0]", f"expected keys and values, {FILL_IN}"),
    ],
)
def test_a_key_without_a_value_is_to_be_filled_in_or_omitted(
    problems_with: Problems, key: str, message: str
) -> None:
    assert problems_with("", f"{key}=") == [f"--set '{key}=': {message}"]


def test_the_string_nothing_is_not_a_missing_value(problems_with: Problems) -> None:
    assert problems_with("seed: got nothing\n")[-1].endswith("got 'got nothing'")


def test_a_name_may_have_64_characters(load_with: Load) -> None:
    assert load_with("", "name=" + "a" * 64).name == "a" * 64


def test_a_name_may_not_end_with_a_line_end(problems_with: Problems) -> None:
    (problem,) = problems_with('name: "a\\n"\n')
    assert problem.endswith(r"got 'a\n'")


def test_an_integer_is_accepted_as_a_float(load_with: Load) -> None:
    rate = load_with("", "optimizer={name: sgd, learning_rate: 1}").optimizer.learning_rate
    assert type(rate) is float


CONFLICTS = [
    ("data.validation=0.5 data.test=0.5", "data.test: validation and test take 100 % of the rows, so"
                                          " none are left for training"),
    ("learning_rate_schedule={name:\xa0cosine_decay_restarts,first_decay_epochs:\xa01,cycles:\xa03}",
     "learning_rate_schedule.cycles: has no effect with first_decay_epochs"),
    ("data.train_on_validation=true", "data.train_on_validation: has no effect without a share of"
                                      " the rows for validation"),
    ("data.validation=v.csv data.test=0.1 data.train_on_validation=true",
     "data.train_on_validation: has no effect without a share of the rows for validation"),
    ("data.sample_weight=y", "data.sample_weight: is also the target"),
    ("data.validation=0.5 data.split={name:\xa0group,column:\xa0y}",
     "data.split.column: is also the target"),
    ("data.validation=0.5 data.target=[z,y] data.split={name:\xa0time,column:\xa0y}",
     "data.split.column: is also the target"),
    ("data.validation=0.5 data.sample_weight=w data.split={name:\xa0time,column:\xa0w}",
     "data.split.column: is also the weight"),
    ("data.validation=0.5 data.split={name:\xa0time,column:\xa0[z,y]}",
     "data.split.column: is also the target"),
    ("data.validation=0.5 data.split={name:\xa0time,column:\xa0[z,z]}",
     "data.split.column: lists a column twice"),
    ("data.target=[y,y]", "data.target.column: lists a column twice"),
    ("data.target={column:\xa0[y,z],type:\xa0categorical}",
     "data.target.type: several columns can't be classes, only numbers or labels; use one column"),
    ("data.target={column:\xa0y,type:\xa0multi_label}",
     "data.target.type: requires several columns, or one column with a delimiter between labels"),
    ("data.target={column:\xa0y,delimiter:\xa0'|'}",
     "data.target.delimiter: has no effect without type: multi_label and a single column"),
    ("data.target={column:\xa0[y,z],type:\xa0multi_label,delimiter:\xa0'|'}",
     "data.target.delimiter: has no effect without type: multi_label and a single column"),
    ("input.features=[]", "input.features: is empty; omit it to use all columns"),
    ("input.features.a={type:\xa0categorical,min_count:\xa02,unseen:\xa0error}",
     "input.features.a.unseen: error can't be combined with min_count: 2"),
    ("input.features.a={type:\xa0numeric,encoding:\xa0piecewise_linear,scaling:\xa0log1p}",
     "input.features.a.scaling: has no effect with encoding: piecewise_linear"),
    ("input.encoding=piecewise_linear"
     " input.features={a.b:\xa0{type:\xa0numeric,scaling:\xa0log1p}}",
     "input.features['a.b'].scaling: has no effect with input.encoding: piecewise_linear;"
     " give the feature its own encoding"),
    ("input.encoding=piecewise_linear input.scaling=robust",
     "input.scaling: has no effect with encoding: piecewise_linear"),
    ("hidden[0].units=1 hidden[0].use_bias=false hidden[0].bias_initializer=ones",
     "hidden[0].bias_initializer: has no effect with use_bias: false"),
    ("output.use_bias=false output.bias_regularizer=l2",
     "output.bias_regularizer: has no effect with use_bias: false"),
    ("output.kernel_initializer={name:\xa0random_uniform,minval:\xa00.5}",
     "output.kernel_initializer.maxval: is below minval (0.5)"),
    ("loss={name:\xa0binary_focal_crossentropy,alpha:\xa00.5}",
     "loss.alpha: has no effect without apply_class_balancing: true"),
    ("optimizer={name:\xa0adam,clipnorm:\xa01,clipvalue:\xa01}",
     "optimizer.clipvalue: can't be combined with clipnorm; choose one of them"),
    ("optimizer={name:\xa0adam,clipvalue:\xa01,global_clipnorm:\xa01}",
     "optimizer.global_clipnorm: can't be combined with clipvalue; choose one of them"),
    ("optimizer={name:\xa0adam,momentum:\xa00.8}",
     "optimizer.momentum: unknown key; adam has no momentum; its most similar setting is beta_1,"
     " by default 0.9; for momentum, use {name: sgd, momentum: 0.9}"),
    ("optimizer={name:\xa0adagrad,momentum:\xa00.8}",
     "optimizer.momentum: unknown key; adagrad has no momentum; for momentum, use"
     " {name: sgd, momentum: 0.9}"),
    ("optimizer={name:\xa0lion,ema_momentum:\xa00.5}",
     "optimizer.ema_momentum: has no effect without use_ema: true"),
    ("optimizer={name:\xa0lion,ema_overwrite_frequency:\xa05}",
     "optimizer.ema_overwrite_frequency: has no effect without use_ema: true"),
    ("optimizer={name:\xa0sgd,nesterov:\xa0true}",
     "optimizer.nesterov: has no effect while momentum is 0"),
    ("optimizer={name:\xa0sgd,ema_momentum:\xa00.5}",
     "optimizer.ema_momentum: has no effect without use_ema: true"),
    ("learning_rate_schedule={name:\xa0piecewise_constant,boundaries:\xa0[2,1],values:\xa0[1,2]}",
     "learning_rate_schedule.boundaries: expected increasing epochs"),
    ("learning_rate_schedule={name:\xa0piecewise_constant,boundaries:\xa0[1,1],values:\xa0[1,2]}",
     "learning_rate_schedule.boundaries: expected increasing epochs"),
    ("learning_rate_schedule={name:\xa0piecewise_constant,boundaries:\xa0[1,2],values:\xa0[1]}",
     "learning_rate_schedule.values: expected as many rates as boundaries (2), got 1"),
    ("learning_rate_schedule={name:\xa0cosine_decay,warmup_epochs:\xa01}",
     "learning_rate_schedule.warmup_epochs: covers all 1 epochs, so the learning rate never decays"),
    ("epochs=4 learning_rate_schedule={name:\xa0piecewise_constant,boundaries:\xa0[3,4,9],"
     "values:\xa0[1,2,3]}", "learning_rate_schedule.boundaries: 4 is never reached in 4 epochs"),
    ("epochs=4 early_stopping.monitor=loss early_stopping.start_from_epoch=4",
     "early_stopping.start_from_epoch: 4 is never reached in 4 epochs"),
    ("optimizer.use_ema=true early_stopping.monitor=loss",
     "optimizer.use_ema: has no effect, because early_stopping restores the weights of the best epoch;"
     " set restore_best_weights: false"),
    ("precision=mixed_float16 optimizer.loss_scale_factor=8",
     "optimizer.loss_scale_factor: has no effect with mixed_float16, which already scales the"
     " loss; omit it"),
    ("data.validation=0.2 data.train_on_validation=true gates={validation.mae:\xa0{at_most:\xa01}}",
     "gates['validation.mae']: requires validation rows; set data.train_on_validation: false"),
    ("metrics=[mse,mse]", "metrics: lists a metric twice"),
    ("metrics=[average_precision]",
     "metrics[0]: 'average_precision' can't be computed per epoch; omit it, the results always contain it"),
    ("early_stopping={}", "early_stopping.monitor: 'val_loss' requires validation rows;"
                          " set data.validation: 0.15"),
    ("learning_rate_schedule=reduce_on_plateau",
     "learning_rate_schedule.monitor: 'val_loss' requires validation rows;"
     " set data.validation: 0.15"),
    ("data.validation=0.2 data.train_on_validation=true early_stopping={}",
     "early_stopping.monitor: 'val_loss' requires validation rows;"
     " set data.train_on_validation: false"),
    ("data.validation=0.2 data.train_on_validation=true learning_rate_schedule=reduce_on_plateau",
     "learning_rate_schedule.monitor: 'val_loss' requires validation rows;"
     " set data.train_on_validation: false"),
    ("metrics=[mse] early_stopping.monitor=mae",
     "early_stopping.monitor: unknown 'mae'; allowed: loss, mse, val_loss, val_mse"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), CONFLICTS)
def test_conflicting_keys_are_a_problem(
    problems_with: Problems, arguments: str, message: str
) -> None:
    (problem,) = problems_with("", *(word.replace("\xa0", " ") for word in arguments.split(" ")))
    path, _, text = message.partition(": ")
    assert problem.startswith(f"--set '{path}=") or f": {path}: " in problem
    assert problem.endswith(f": {text}")


@pytest.mark.parametrize(
    "arguments",
    [
        "data.split=random",
        "data.validation=v.csv data.split=random",
        "data.validation=0.2 data.train_on_validation=true early_stopping.monitor=loss",
        "data.validation=0.5 data.test=0.49 data.split=random",
        "data.validation=0.5 data.test=t.csv data.split=random",
        "optimizer={name:\xa0sgd,nesterov:\xa0true,momentum:\xa00.5}",
        "optimizer={name:\xa0adam,use_ema:\xa0true,ema_momentum:\xa00.5}",
        "optimizer={name:\xa0adam,ema_momentum:\xa00.99}",
        "output.use_bias=false output.bias_initializer=zeros",
        "learning_rate_schedule={name:\xa0cosine_decay,warmup_epochs:\xa00.5}",
        "early_stopping.monitor=loss",
        "epochs=4 early_stopping.monitor=loss early_stopping.start_from_epoch=3",
        "epochs=4 learning_rate_schedule={name:\xa0piecewise_constant,boundaries:\xa0[3],"
        "values:\xa0[1]}",
        "optimizer.use_ema=true early_stopping.monitor=loss"
        " early_stopping.restore_best_weights=false",
        "optimizer.use_ema=true optimizer.ema_overwrite_frequency=5 early_stopping.monitor=loss",
        "data.validation=0.5 data.sample_weight=w data.split={name:\xa0group,column:\xa0g}",
        "early_stopping.monitor=accuracy",
        "early_stopping={} data.validation=0.1",
        "early_stopping={} data.validation=v.csv",
        "early_stopping.monitor=val_mse metrics=[mse] data.validation=v.csv",
        "input.encoding=piecewise_linear input.scaling=robust"
        " input.features={a:\xa0{type:\xa0numeric,encoding:\xa0periodic}}",
        "input.encoding=piecewise_linear"
        " input.features={a:\xa0{type:\xa0numeric,encoding:\xa0none,scaling:\xa0log1p}}",
    ],
)
def test_compatible_keys_are_accepted(load_with: Load, arguments: str) -> None:
    load_with("", *(word.replace("\xa0", " ") for word in arguments.split(" ")))


def test_the_defaults_are_those_of_the_design(load_with: Load) -> None:
    config = load_with()
    assert config.seed == 0
    assert (config.data.validation, config.data.test, config.early_stopping) == (None, None, None)
    assert (config.optimizer.name, config.optimizer.learning_rate) == ("adam", 0.001)
    assert config.batch_size == 32
    assert config.input.scaling.name == "standard"
    assert config.output.scaling is None
    assert config.precision == "float32"


def test_columns_with_a_special_role_are_reserved(load_with: Load) -> None:
    config = load_with(
        "",
        "data.target=[y, z]",
        "data.sample_weight=w",
        "data.validation=0.25",
        "data.split={name: group, column: g}",
        "input.features={g: numeric, x: numeric}",
    )
    assert config.reserved == config.data.reserved == ("y", "z", "w", "g")
    assert config.data.shares == (0.25, 0.0)


@pytest.mark.parametrize(
    ("features", "reserved"),
    [("{x: numeric, '*': auto}", ("y", "t")), ("{t: datetime, '*': auto}", ("y",))],
)
def test_the_column_of_a_time_split_is_a_feature_if_it_is_named(
    features: str, reserved: tuple[str, ...], load_with: Load
) -> None:
    config = load_with(
        "",
        "data.target=y",
        "data.validation=0.25",
        "data.split={name: time, column: t}",
        f"input.features={features}",
    )
    assert config.reserved == reserved
