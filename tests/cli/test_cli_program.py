"""The program as a whole: its help, and its exit codes."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from inline_snapshot import snapshot

import dlcli as package
from dlcli.cli.options import VERBOSITY, combined
from dlcli.cli.program import Commands, main
from dlcli.errors import (
    ConfigError,
    DataError,
    DlcliError,
    ExportError,
    OutOfMemoryError,
    Position,
    Problem,
    RequirementError,
    RunError,
    TrainingError,
    UsageError,
)
from dlcli.glossary import find_term, read_glossary
from dlcli.metrics.definitions import METRICS
from dlcli.starter.examples import example_names


def end_by(action, *arguments):
    """Runs a verb that does one thing."""

    @click.command()
    @combined(*VERBOSITY)
    def verb():
        action()

    return CliRunner().invoke(Commands(commands={"verb": verb}), ["verb", *arguments])


def raising(error):
    def action():
        raise error

    return action


@pytest.mark.parametrize("verb", main.commands.values(), ids=main.commands)
def test_every_command_and_each_of_its_options_has_help(verb, dlcli):
    assert verb.help
    assert all(option.help for option in verb.params if isinstance(option, click.Option))
    result = dlcli(verb.name, "-h")
    assert f"Usage: dlcli {verb.name}" in result.stdout, result.stderr


def test_commands_are_listed_in_the_order_of_use(dlcli):
    listed = dlcli("--help").stdout.partition("Train and evaluate:\n")[2].partition("\n\n")[0]
    names = [line.split()[0] for line in listed.splitlines()]
    assert names == [
        *("train", "predict", "evaluate", "drift"),
        *("Understand:", "explain", "report", "compare", "diagnose", "runs"),
        *("Choose:", "cv", "tune"),
        *("Deploy:", "export", "serve", "distill", "reproduce"),
        *("Prepare:", "init", "inspect", "validate", "schema", "doctor"),
    ]


def test_no_first_line_of_help_is_cut_off_at_80_columns(dlcli):
    assert "..." not in dlcli("--help").stdout.partition("Train and evaluate:")[2]


def test_the_help_fits_on_a_screen(dlcli):
    lines = dlcli("--help").stdout.splitlines()
    assert len(lines) <= 34
    assert max(map(len, lines)) <= 80
    assert lines[0] == "Neural networks for tables, from one YAML file."


@pytest.mark.parametrize("verb", main.groups["Train and evaluate"] + main.groups["Choose"])
def test_options_of_all_commands_take_one_line_each(verb, dlcli):
    lines = dlcli(verb.name, "--help").stdout.splitlines()
    shared = ("-q, --quiet ", "-v, --verbose ", "-h, --help ", "--set ")
    places = [at for at, line in enumerate(lines) if line.strip().startswith(shared)]
    assert len(places) >= 3
    for at in places:
        assert at + 1 == len(lines) or lines[at + 1].startswith(("  -", "      -"))


@pytest.mark.parametrize("arguments", [[], ["help"]])
def test_without_a_command_the_help_is_printed(arguments, dlcli):
    result = dlcli(*arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == dlcli("--help").stdout


def test_help_explains_a_command(dlcli):
    assert dlcli("help", "train").stdout == dlcli("train", "--help").stdout
    wrong = dlcli("help", "trian")
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("error: no help on 'trian'; did you mean 'train'?\n")


def test_help_finds_a_term_written_without_its_space(dlcli):
    assert dlcli("help", "logloss").stdout.startswith("Log loss (log_loss)\n")


@pytest.mark.parametrize(
    ("name", "path", "text"),
    [
        ("tolerance", "early_stopping.tolerance", "Absolute difference from the best value"),
        ("ensemble.vary", "ensemble.vary", "Settings that differ between groups of networks."),
        ("greedy", "ensemble.select", "How the groups of `vary` are combined."),
        ("hidden[0].units", "hidden[i].units", "Number of units (neurons)"),
    ],
)
def test_help_explains_a_key_of_the_config(name, path, text, dlcli):
    result = dlcli("help", name)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"{path}\n\n{text}")


@pytest.mark.parametrize("words", [["r2"], ["R²"], ["R-Squared"]])
def test_help_explains_a_term_by_any_of_its_names(words, dlcli):
    result = dlcli("help", *words)
    assert result.stdout == snapshot("""\
R² (r2, R-squared, coefficient of determination)

The share of the variance that the model explains: 1 is perfect, 0 is as good as
always predicting the mean, and negative values are worse.
""")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["learnin", "rate"], "no help on 'learnin rate'; did you mean 'Learning rate'?"),
        (["dropot"], "no help on 'dropot'; did you mean 'Dropout'?"),
        (["xyzzy"], "no help on 'xyzzy'; `dlcli help glossary` lists the terms"),
    ],
)
def test_help_suggests_a_similar_term(words, message, dlcli):
    result = dlcli("help", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: {message}\n")


def test_every_term_of_the_glossary_can_be_printed(dlcli):
    terms = read_glossary()
    listed = " ".join(dlcli("help", "glossary").stdout.split())
    for term in terms:
        for name in (term.name, *term.aliases):
            assert find_term(name) == (term, None), name
        assert term.explanation().count("\n\n") == 1, "a name and a paragraph"
        assert term.text.splitlines()[-1].startswith("→ ["), "the link to a page"
        assert term.name.replace("-", "") in listed.replace("- ", "").replace("-", ""), term.name
    names = [term.name.replace("²", "2").lower() for term in terms]
    assert names == sorted(names)


def test_the_glossary_begins_with_a_link_to_the_first_term_of_each_letter():
    page = (Path(__file__).parents[2] / "docs" / "glossary.md").read_text(encoding="utf-8")
    first: dict[str, str] = {}
    for term in read_glossary():
        first.setdefault(term.name[0].upper(), term.name.lower().replace(" ", "-"))
    assert re.findall(r"\[(\w)\]\(#(.*?)\)", page.partition("\n## ")[0]) == [*first.items()]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("onnx", "Export format"),
        ("csv", "Table"),
        ("excel", "Workbook"),
        ("gpu", "GPU"),
        ("sql", "Database"),
        ("forecast", "Forecast"),
        ("clustering", "Unsupervised learning"),
        ("churn", "Imbalanced classes"),
    ],
)
def test_help_finds_formats_devices_and_uses(words, name, dlcli):
    assert dlcli("help", words).stdout.startswith(f"{name} (")


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_is_in_the_glossary(metric):
    term, _ = find_term(metric)
    assert term is not None


def test_help_explains_exit_codes(dlcli):
    lines = dlcli("help", "exit-codes").stdout.splitlines()
    codes = [int(code) for line in lines for code in line.partition("  ")[0].split(",")]
    errors = (DlcliError, UsageError, DataError, TrainingError, RunError, RequirementError)
    assert {0, *(error.exit_code for error in (*errors, ExportError))} <= {*codes}
    assert dlcli("help", "exit", "codes").stdout.splitlines() == lines


@pytest.mark.parametrize(
    ("other", "command"),
    [
        ("fit", "train"),
        ("score", "evaluate"),
        ("deploy", "export"),
        ("Cross-Validate", "cv"),
        ("evaluat", "evaluate"),
    ],
)
def test_a_command_by_another_name_is_named(dlcli, other, command):
    for arguments, problem in (
        ([other, "a.yaml"], "no such command"),
        (["help", other], "no help on"),
    ):
        result = dlcli(*arguments)
        found = f"error: {problem} '{other}'; did you mean '{command}'?\n"
        assert (result.exit_code, result.stderr.startswith(found)) == (2, True)


@pytest.mark.parametrize(
    ("command", "option", "way_out"),
    [
        ("train", "--epochs", "; write --set epochs=VALUE"),
        ("train", "--batch-size=8", "; write --set batch_size=VALUE"),
        ("cv", "--lr", "; write --set optimizer.learning_rate=VALUE"),
        ("train", "--units", "; write --set 'hidden[0].units=VALUE'"),
        ("tune", "--n-trials", "; write --set tune.trials=VALUE"),
        ("train", "--seed", "; write --set seed=VALUE"),
        ("train", "--ouput", "; did you mean '--output'?"),
        ("predict", "--epochs", ""),
    ],
)
def test_an_option_that_is_a_setting_is_answered_with_set(command, option, way_out, dlcli):
    result = dlcli(command, "some.yaml", option, "3")
    assert result.exit_code == 2
    name = option.partition("=")[0]
    assert (
        result.stderr == f"error: no such option '{name}'{way_out}\nsee: dlcli {command} --help\n"
    )


@pytest.mark.parametrize("verb", main.commands.values(), ids=main.commands)
def test_the_help_of_a_command_has_examples(verb, dlcli):
    assert f"\n    dlcli {verb.name} " in dlcli(verb.name, "--help").stdout


@pytest.mark.parametrize("verb", main.commands.values(), ids=main.commands)
def test_help_has_ranges_in_words(verb, dlcli):
    assert "<=" not in dlcli(verb.name, "--help").stdout


@pytest.mark.parametrize(
    ("option", "short", "commands"),
    [
        ("--output", "-o", ["train", "predict", "report", "compare", "cv", "tune", "init"]),
        ("--quiet", "-q", [name for name in main.commands if name != "help"]),
        ("--verbose", "-v", [name for name in main.commands if name != "help"]),
    ],
)
def test_an_option_has_the_same_short_form_in_every_command(option, short, commands):
    for name, command in main.commands.items():
        found = [each.opts for each in command.params if option in each.opts]
        assert found in ([], [[short, option]])
        assert found or name not in commands


def test_the_help_of_init_names_every_example(dlcli):
    names = dlcli("init", "--help").stdout.partition("current folder:")[2].partition(".")[0]
    assert sorted(set(re.findall(r"\w+", names)) - {"or"}) == example_names()


def test_help_explains_shell_completion(dlcli):
    assert 'eval "$(_DLCLI_COMPLETE=bash_source dlcli)"' in dlcli("help", "completion").stdout


@pytest.mark.parametrize("line", ["predict", "predict run", "train --output", "export --output"])
def test_the_shell_completes_paths(line):
    words = {"COMP_WORDS": f"dlcli {line} a", "COMP_CWORD": str(len(line.split()) + 1)}
    result = CliRunner(env={**words, "_DLCLI_COMPLETE": "bash_complete"}).invoke(main)
    assert result.stdout == "file,a\n"


def test_version(dlcli):
    for option in ("-V", "--version"):
        assert dlcli(option).stdout == f"dlcli, version {package.__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["trian"], ["train"], ["train", "--sett", "x"], ["--sett"], ["init"]]
)
def test_wrong_usage_ends_with_2(arguments, dlcli):
    result = dlcli(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert re.fullmatch(r"error: [^\n]+\nsee: dlcli.* --help\n", result.stderr)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DlcliError("no luck"), 1),
        (UsageError("no luck"), 2),
        (DataError("no luck"), 3),
        (TrainingError("no luck"), 4),
        (RunError("no luck"), 5),
    ],
)
def test_an_expected_error_is_a_line_and_its_own_exit_code(error, code):
    result = end_by(raising(error))
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr == "error: no luck\n"


def test_an_expected_error_has_no_traceback_even_with_v():
    assert end_by(raising(UsageError("no luck")), "-v").stderr == "error: no luck\n"


def test_an_error_is_one_line_whatever_the_names_in_it():
    assert end_by(raising(DataError("no", column="a\n\x1b"))).stderr == (
        snapshot("error: column 'a\\n\\x1b': no\n")
    )


def test_a_lone_problem_of_a_config_is_one_line():
    result = end_by(
        raising(ConfigError([Problem("epochs", "is required", Position("a.yaml", 1, 1))]))
    )
    assert (result.exit_code, result.stderr) == (2, "error: a.yaml:1:1: epochs: is required\n")


def test_several_problems_of_a_config_have_a_line_each_and_are_counted():
    result = end_by(raising(ConfigError([Problem("epochs", "bad"), Problem("loss", "worse")])))
    assert result.stderr == snapshot("error: epochs: bad\nerror: loss: worse\n2 problems\n")


def test_an_unexpected_error_is_reported_as_a_bug():
    result = end_by(raising(KeyError("x")))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: unexpected KeyError: 'x'\n")
    assert "bug" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr("dlcli.errors.find_spec", lambda name: None)
    lack = ModuleNotFoundError("No module named 'scipy.stats'", name="scipy.stats")
    result = end_by(raising(lack))
    assert result.exit_code == 2
    assert result.stderr.startswith(
        "error: this command needs the package scipy, which is not installed; install it with: "
        "pip install 'scipy"
    )


def test_a_missing_module_of_an_installed_package_is_a_bug():
    result = end_by(raising(ModuleNotFoundError("No module named 'scipy.x'", name="scipy.x")))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: unexpected ModuleNotFoundError")


def test_v_shows_the_traceback_of_an_unexpected_error():
    stderr = end_by(raising(KeyError("x")), "-v").stderr
    assert stderr.startswith("Traceback")
    assert "error: unexpected KeyError: 'x'\n" in stderr


def test_lack_of_memory_is_not_reported_as_a_bug():
    result = end_by(raising(MemoryError()))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: out of memory")


def test_training_that_ran_out_of_memory_does_not_end_the_calling_program():
    result = end_by(raising(OutOfMemoryError("training ran out of memory")))
    assert (result.exit_code, result.stderr) == (4, "error: training ran out of memory\n")


def test_in_a_process_of_its_own_it_ends_without_what_libraries_do_at_the_exit():
    script = """
import atexit
from dlcli.cli.program import _exit
atexit.register(print, "a library crashes")
print("the result", end="")
_exit(["no memory"], [], 4, at_once=True)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (4, "the result", "error: no memory\n")


def test_a_full_disk_is_not_reported_as_a_bug():
    result = end_by(raising(OSError(28, "No space left on device")))
    assert result.exit_code == 4
    assert result.stderr == snapshot("error: standard output: No space left on device\n")


def test_an_unexpected_error_speaks_to_no_terminal():
    result = end_by(raising(ValueError("\x1b[2J")))
    assert result.stderr.startswith("error: unexpected ValueError: \\x1b[2J\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="has no full disk at hand")
def test_an_error_that_can_not_be_printed_has_its_exit_code(program):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*program, "validate", "nowhere.yaml"], stderr=full)
    assert done.returncode == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="has no full disk at hand")
def test_help_that_does_not_fit_on_the_disk_is_an_error(program):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*program, "--help"], stdout=full, stderr=subprocess.PIPE, text=True)
    message = "error: standard output: No space left on device\n"
    assert (done.returncode, done.stderr) == (4, message)


@pytest.mark.parametrize(
    ("stream", "redirection"), [("stdin", "<&-"), ("stdout", ">&-"), ("stderr", "2>&-")]
)
def test_a_closed_stream_is_as_one_that_leads_nowhere(stream, redirection, tmp_path):
    check = """
import os, runpy, sys
from dlcli.cli import program
def main(**_):
    stream = getattr(sys, sys.argv[1])
    number = stream.fileno()
    is_null = os.path.samestat(os.fstat(number), os.stat(os.devnull))
    print(number, is_null, os.get_inheritable(number), file=open(sys.argv[2], "w"))
program.main = main
runpy.run_module("dlcli", run_name="__main__")
"""
    answer = tmp_path / "answer"
    command = [sys.executable, "-c", check, stream, str(answer)]
    subprocess.run(f"{shlex.join(command)} {redirection}", shell=True, check=True)
    number = ("stdin", "stdout", "stderr").index(stream)
    assert answer.read_text() == f"{number} True True\n"


def test_settings_of_keras_are_not_used_and_memory_is_the_systems(tmp_path):
    script = """
import runpy
from dlcli.cli import program
def main(**_):
    import keras, pyarrow
    print(keras.backend.backend(), keras.config.floatx(), keras.config.epsilon())
    print(pyarrow.default_memory_pool().backend_name)
program.main = main
runpy.run_module("dlcli", run_name="__main__")
"""
    given, home = tmp_path / "given", tmp_path / "home"
    given.mkdir()
    home.mkdir()
    settings = {"backend": "torch", "floatx": "float64", "epsilon": 0.01}
    (given / "keras.json").write_text(json.dumps(settings))
    variables = {"KERAS_BACKEND": "torch", "KERAS_HOME": str(given), "HOME": str(home)}
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **variables}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "tensorflow float32 1e-07\nsystem\n"
    assert not [*home.iterdir()]


def test_an_interrupt_ends_with_130():
    result = end_by(raising(KeyboardInterrupt()))
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")


@pytest.mark.parametrize(
    ("name", "code", "message"), [("SIGTERM", 143, "terminated\n"), ("SIGHUP", 129, "")]
)
def test_a_signal_that_ends_the_program_lets_it_clean_up(name, code, message):
    cleaned = []

    def action():
        try:
            signal.raise_signal(getattr(signal, name))
        finally:
            cleaned.append(name)

    result = end_by(action)
    assert (result.exit_code, result.stderr) == (code, message)
    assert cleaned == [name]


def test_a_hangup_that_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        result = end_by(lambda: signal.raise_signal(signal.SIGHUP))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert result.exit_code == 0


def test_signal_handlers_are_given_back():
    before = signal.getsignal(signal.SIGTERM)
    end_by(lambda: None)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_list_that_is_cut_keeps_its_dots(dlcli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("wide.csv").write_text(
        ",".join(f"c{number}" for number in range(30)) + "\n" + "1," * 29 + "1\n"
    )
    result = dlcli("init", "wide.csv")
    assert result.exit_code == 2
    assert "'c11', ...\n" in result.stderr
