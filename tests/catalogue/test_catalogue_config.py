"""The catalogue of configs: one clear message at the very place, and nothing left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

CONFIG = "data: {train: numbers.csv, target: y}\nhidden: []\nepochs: 1\n"
TWO = CONFIG.replace("numbers", "two_classes")
THREE = CONFIG.replace("numbers", "three_classes")
ROWS = {
    "numbers.csv": [3 * at for at in range(30)],
    "two_classes.csv": ["ab"[at % 2] for at in range(30)],
    "three_classes.csv": ["abc"[at % 3] for at in range(30)],
}
UNITS = "2:18: hidden[0].units: expected a positive integer up to 1,000,000, got"
RATE = "4:39: optimizer.learning_rate: expected a number above 0, got"
NAME = "4:7: name: expected up to 64 characters (A-Z a-z 0-9 . _ -), beginning with a letter or digit, got"
FOR_NUMBERS = (
    "use one of mean_squared_error, mean_absolute_error, mean_absolute_percentage_error, "
    "mean_squared_logarithmic_error, huber, log_cosh, poisson, tweedie, gamma, binomial, quantile; for classes, set data.target: {column: ..., type: "
    "categorical}"
)
FOR_TWO = (
    "use one of binary_crossentropy, binary_focal_crossentropy, hinge, squared_hinge, "
    "sparse_categorical_crossentropy, categorical_crossentropy, categorical_focal_crossentropy, "
    "categorical_generalized_cross_entropy, categorical_hinge"
)


@pytest.fixture(autouse=True)
def tables(folder) -> None:
    for name, targets in ROWS.items():
        lines = [f"{at / 2},{target}\n" for at, target in enumerate(targets)]
        Path(name).write_text("x,y\n" + "".join(lines))
    Path("some").mkdir()


def hidden(units: str) -> str:
    return CONFIG.replace("[]", f"[{{units: {units}}}]")


def sgd(rate: str) -> str:
    return f"{CONFIG}optimizer: {{name: sgd, learning_rate: {rate}}}\n"


def data(lines: str, config: str = CONFIG) -> str:
    return config.replace("target: y", f"target: y, {lines}")


REFUSED = {
    "units of -3": (hidden("-3"), f"{UNITS} -3"),
    "units of 0": (hidden("0"), f"{UNITS} 0"),
    "units of 8.5": (hidden("8.5"), f"{UNITS} 8.5"),
    "units of 8.0": (hidden("8.0"), f"{UNITS} 8.0"),
    "units of true": (hidden("true"), f"{UNITS} true"),
    "units of ten": (hidden('"ten"'), f"{UNITS} 'ten'"),
    "units of a number in quotes": (hidden("'8'"), f"{UNITS} '8'"),
    "units of a billion": (hidden("1000000000"), f"{UNITS} 1000000000"),
    "units of a list": (hidden("[8]"), f"{UNITS} [8]"),
    "units of nothing": (hidden(""), f"{UNITS} nothing; fill it in"),
    "an activation misspelt": (
        f"{CONFIG}output: {{activation: linera}}\n",
        "4:22: output.activation: unknown activation 'linera'; did you mean 'linear'?",
    ),
    "a loss misspelt": (
        f"{CONFIG}loss: {{name: hubber, delta: 1}}\n",
        "4:14: loss.name: unknown loss 'hubber'; did you mean 'huber'?",
    ),
    "a loss by its initials": (
        f"{CONFIG}loss: bfc\n",
        "4:7: loss: unknown loss 'bfc'; did you mean 'binary_focal_crossentropy'?",
    ),
    "an unknown optimizer": (
        f"{CONFIG}optimizer: lbfgs\n",
        "4:12: optimizer: unknown optimizer 'lbfgs'; allowed: adadelta, adafactor, adagrad, adam, "
        "adamax, adamw, ftrl, lamb, lion, muon, nadam, rmsprop, sgd, schedule_free_adamw",
    ),
    "an unknown metric": (
        f"{CONFIG}metrics: [acuracy]\n",
        "4:11: metrics[0]: expected 'mse', 'rmse', 'mae', 'r2', 'poisson_deviance', "
        "'tweedie_deviance', 'gamma_deviance', 'binomial_deviance', 'd2', 'pinball_loss', 'coverage', 'mean_width', 'accuracy', "
        "'balanced_accuracy', 'subset_accuracy', 'auc', 'precision', 'recall', 'f1', 'macro_f1', "
        "'micro_precision', 'micro_recall', 'micro_f1', 'log_loss', 'brier' or 'top_3_accuracy', "
        "got 'acuracy'; did you mean 'accuracy'?",
    ),
    "a key misspelt": (
        CONFIG.replace("epochs", "epochs: 1\nepoch"),
        "4:1: epoch: unknown key; did you mean 'epochs'?",
    ),
    "a key of another section": (
        f"{CONFIG}learning_rate: 0.1\n",
        "4:1: learning_rate: unknown key; write optimizer: {name: adam, learning_rate: 0.1}",
    ),
    "softmax with one unit": (
        f"{TWO}output: {{units: 1, activation: softmax}}\n",
        "4:32: output.activation: 'softmax' is constant for a single unit; use sigmoid",
    ),
    "softmax with one unit for a number": (
        f"{CONFIG}output: {{units: 1, activation: softmax}}\n",
        "4:32: output.activation: 'softmax' is constant for a single unit; use linear",
    ),
    "linear output with cross-entropy": (
        f"{TWO}output: {{activation: linear}}\nloss: binary_crossentropy\n",
        "4:22: output.activation: 'linear' does not fit the loss 'binary_crossentropy'; use "
        "sigmoid, hard_sigmoid, sparse_sigmoid",
    ),
    "linear output with cross-entropy of several classes": (
        f"{THREE}output: {{activation: linear}}\nloss: sparse_categorical_crossentropy\n",
        "4:22: output.activation: 'linear' does not fit the loss "
        "'sparse_categorical_crossentropy'; use softmax",
    ),
    "cross-entropy on a number": (
        f"{CONFIG}loss: binary_crossentropy\n",
        f"4:7: loss: 'binary_crossentropy' does not fit the target 'y' (a number); {FOR_NUMBERS}",
    ),
    "a squared error on classes": (
        f"{TWO}loss: mean_squared_error\n",
        f"4:7: loss: 'mean_squared_error' does not fit the target 'y' (2 classes); {FOR_TWO}",
    ),
    "fewer units than classes": (
        f"{THREE}output: {{units: 2}}\n",
        "4:17: output.units: expected 3 (one for each of the 3 classes a, b, c), got 2",
    ),
    "more units than classes": (
        f"{THREE}output: {{units: 4}}\n",
        "4:17: output.units: expected 3 (one for each of the 3 classes a, b, c), got 4",
    ),
    "one unit with a sparse loss": (
        f"{TWO}output: {{units: 1}}\nloss: sparse_categorical_crossentropy\n",
        "4:17: output.units: expected 2 (one for each of the 2 classes a, b), got 1",
    ),
    "three outputs and one target": (
        f"{CONFIG}output: {{units: 3}}\n",
        "4:17: output.units: expected 1 (one for each of the target's columns 'y'), got 3",
    ),
    "accuracy on a regression": (
        f"{CONFIG}metrics: [mae, accuracy]\n",
        "4:16: metrics[1]: 'accuracy' does not fit the target 'y' (a number); use one or more of mae, mse, "
        "rmse, r2",
    ),
    "an error in units on classes": (
        f"{TWO}metrics: [r2]\n",
        "4:11: metrics[0]: 'r2' does not fit the target 'y' (2 classes); use one or more of accuracy, "
        "balanced_accuracy, auc, precision, recall, f1, log_loss, brier",
    ),
    "class weights on a number": (
        f"{CONFIG}class_weight: balanced\n",
        "4:15: class_weight: the target 'y' is a number and has no classes",
    ),
    "a weight of a class that there is not": (
        f"{TWO}class_weight: {{a: 1, c: 2}}\n",
        "4:25: class_weight.c: no such class; there are a, b",
    ),
    "a learning rate of -1": (sgd("-1"), f"{RATE} -1"),
    "a learning rate of 0": (sgd("0"), f"{RATE} 0"),
    "a learning rate that is fast": (sgd("fast"), f"{RATE} 'fast'"),
    "a learning rate of true": (sgd("true"), f"{RATE} true"),
    "a learning rate that is no number": (sgd(".nan"), f"{RATE} nan"),
    "a learning rate without end": (sgd(".inf"), f"{RATE} inf"),
    "two ways to clip": (
        f"{CONFIG}optimizer: {{name: sgd, clipnorm: 1.0, clipvalue: 1.0}}\n",
        "4:50: optimizer.clipvalue: can't be combined with clipnorm; choose one of them",
    ),
    "nesterov without momentum": (
        f"{CONFIG}optimizer: {{name: sgd, nesterov: true}}\n",
        "4:34: optimizer.nesterov: has no effect while momentum is 0",
    ),
    "shares of more than all rows": (
        data("validation: 0.6, test: 0.6"),
        "1:62: data.test: validation and test take 120 % of the rows, so none are left for training",
    ),
    "classes of a number, with nothing to deal out": (
        data("split: stratified"),
        "1:46: data.split: 'stratified' requires classes, but 'y' is a number; use random",
    ),
    "classes dealt out of a number": (
        data("validation: 0.2, split: stratified"),
        "1:63: data.split: 'stratified' requires classes, but 'y' is a number; use random",
    ),
    "the target as its own weight": (
        data("sample_weight: y"),
        "1:54: data.sample_weight: is also the target",
    ),
    "validation watched where there is none": (
        f"{CONFIG}early_stopping: {{monitor: val_loss}}\n",
        "4:27: early_stopping.monitor: 'val_loss' requires validation rows; set "
        "data.validation: 0.15",
    ),
    "a metric watched that is not measured": (
        f"{CONFIG}metrics: [mae]\nearly_stopping: {{monitor: rmse}}\n",
        "5:27: early_stopping.monitor: unknown 'rmse'; allowed: loss, mae, val_loss, val_mae",
    ),
    "a start that never comes": (
        f"{CONFIG}early_stopping: {{monitor: loss, start_from_epoch: 5}}\n",
        "4:51: early_stopping.start_from_epoch: 5 is never reached in 1 epochs",
    ),
    "a name that leads up": (f"{CONFIG}name: ..\n", f"{NAME} '..'"),
    "a name that leads up and down": (f"{CONFIG}name: ../other\n", f"{NAME} '../other'"),
    "a name with a slash": (f"{CONFIG}name: a/b\n", f"{NAME} 'a/b'"),
    "a name from the root": (f"{CONFIG}name: /tmp/a\n", f"{NAME} '/tmp/a'"),
    "a name with a backslash": (f"{CONFIG}name: 'a\\b'\n", f"{NAME} 'a\\b'"),
    "a name of nothing": (f"{CONFIG}name: ''\n", f"{NAME} ''"),
    "a name with a line end": (f'{CONFIG}name: "a\\n"\n', f"{NAME} 'a\\n'"),
    "a name that is a number": (f"{CONFIG}name: 2024\n", f"{NAME} 2024"),
    "a path of nothing": (
        CONFIG.replace("numbers.csv", "''"),
        "1:15: data.train: expected a file, got ''",
    ),
}


@pytest.mark.parametrize(("config", "message"), REFUSED.values(), ids=REFUSED)
def test_configs_that_can_not_be_meant_are_refused_at_their_place(config, message, refused):
    Path("c.yaml").write_text(config)
    refused(2, f"c.yaml:{message}", ["train", "c.yaml"])


REFUSED_FILES = {
    "a folder": (
        CONFIG.replace("numbers.csv", "some"),
        "c.yaml:1:15: data.train: some: is a folder, expected a file; it contains no files that look like tables, such "
        "as .csv",
    ),
    "a folder of validation": (
        data("validation: some"),
        "c.yaml:1:51: data.validation: some: is a folder, expected a file; it contains no files that look like tables, such "
        "as .csv",
    ),
    "a file that there is not": (
        CONFIG.replace("numbers.csv", "number.csv"),
        "c.yaml:1:15: data.train: number.csv: no such file; did you mean 'numbers.csv'?",
    ),
    "a pattern of nothing": (
        CONFIG.replace("numbers.csv", "'some/*'"),
        "c.yaml:1:15: data.train: some/*: matches no file; some is empty",
    ),
    "a NUL in a path": (
        CONFIG.replace("numbers.csv", '"a\\0.csv"'),
        "c.yaml:1:15: data.train: 'a\\x00.csv': a file name can't contain a NUL character",
    ),
}


@pytest.mark.parametrize(("config", "message"), REFUSED_FILES.values(), ids=REFUSED_FILES)
def test_paths_that_lead_to_no_table_are_refused(config, message, refused):
    Path("c.yaml").write_text(config)
    refused(2, message, ["train", "c.yaml"])


def test_a_folder_in_the_place_of_the_config_is_refused(refused):
    refused(2, "some: is a folder, expected a config", ["train", "some"])


def test_initial_weights_that_are_no_run_are_a_failure_of_the_run_folder(refused):
    Path("c.yaml").write_text(f"{CONFIG}initial_weights: some\n")
    message = "some: is not a run folder: it has no manifest.json; choose a folder that `dlcli train` created"
    refused(5, message, ["train", "c.yaml"])


def test_all_that_is_wrong_is_told_in_the_order_of_the_text(dlcli, folder):
    Path("c.yaml").write_text(
        f"{CONFIG}output: {{activation: linear}}\nloss: binary_crossentropy\nmetrics: [accuracy]\n"
    )
    result = dlcli("train", "c.yaml")
    assert [line.split(": ")[1:3] for line in result.stderr.splitlines() if "error" in line] == [
        ["c.yaml:4:22", "output.activation"],
        ["c.yaml:5:7", "loss"],
        ["c.yaml:6:11", "metrics[0]"],
    ]
    assert result.stderr.splitlines()[-1] == "3 problems"
    assert result.exit_code == 2
    assert not (folder / "runs").exists()
