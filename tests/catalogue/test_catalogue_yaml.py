"""The catalogue of YAML: what is a config's text is read as YAML 1.2 means it, all else refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcli.config.config_file import load_config

CONFIG = "data: {train: t.csv, target: y}\nhidden: []\nepochs: 1\n"
ROWS = "x,y\n" + "".join(f"{at / 2},{3 * at}\n" for at in range(20))
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 10)}]\n" for at in range(1, 10)
)
KEYS = (
    "name, seed, data, input, hidden, output, loss, metrics, class_weight, decision, optimizer, "
    "learning_rate_schedule, learning_rate_multipliers, exclude_from_weight_decay, epochs, "
    "stop_after_epoch, time, batch_size, early_stopping, ensemble, distill, initial_weights, "
    "initial_encoding, engine, device, threads, precision, gates, evaluate_by, checkpoint, explanation, tune"
)
POSITIVE = "expected a positive integer"


@pytest.fixture(autouse=True)
def table(folder) -> None:
    Path("t.csv").write_text(ROWS)


READ = {
    "1e-3": ("optimizer: {name: sgd, learning_rate: 1e-3}\n", "optimizer.learning_rate", 0.001),
    "no as a value": ("name: no\n", "name", "no"),
    "on as a value": ("name: on\n", "name", "on"),
    "no as a key": ("input: {features: {x: auto, no: auto}}\n", "input.features.no.type", "auto"),
    "on as a key": ("input: {features: {x: auto, on: auto}}\n", "input.features.on.type", "auto"),
    "010": ("batch_size: 010\n", "batch_size", 10),
    "0o10": ("batch_size: 0o10\n", "batch_size", 8),
    "1:30": ("input: {features: [1:30]}\n", "input.features.1:30.type", "auto"),
    "1_000": ("name: 1_000\n", "name", "1_000"),
    "a date": ("name: 2024-12-31\n", "name", "2024-12-31"),
    "a date that there is not": ("name: 2024-13-45\n", "name", "2024-13-45"),
    "a tab between a key and its value": ("batch_size:\t8\n", "batch_size", 8),
}


@pytest.mark.parametrize(("lines", "path", "value"), READ.values(), ids=READ)
def test_what_yaml_1_1_took_for_something_else_is_read_as_it_looks(lines, path, value):
    Path("c.yaml").write_text(CONFIG + lines)
    found: object = load_config(Path("c.yaml")).config
    for step in path.split("."):
        found = found[step] if isinstance(found, dict) else getattr(found, step)
    assert found == value
    assert type(found) is type(value)


ENCODINGS = {
    "a byte order mark": CONFIG.encode("utf-8-sig"),
    "UTF-16, little end first": b"\xff\xfe" + CONFIG.encode("utf-16-le"),
    "UTF-16, big end first": b"\xfe\xff" + CONFIG.encode("utf-16-be"),
    "lines of Windows": CONFIG.replace("\n", "\r\n").encode(),
}


@pytest.mark.parametrize("content", ENCODINGS.values(), ids=ENCODINGS)
def test_a_text_that_says_how_it_is_encoded_is_as_good_as_utf_8(content, dlcli):
    Path("c.yaml").write_bytes(content)
    result = dlcli("validate", "c.yaml")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "c.yaml: the config is valid")


REFUSED = {
    "no where true or false belongs": (
        "optimizer: {name: adam, amsgrad: no}\n",
        "4:34: optimizer.amsgrad: expected true or false, got 'no'",
    ),
    "on as an unknown key": ("on: 1\n", f"4:1: on: unknown key; allowed: {KEYS}"),
    "1:30 as a number": ("batch_size: 1:30\n", f"4:13: batch_size: {POSITIVE}, got '1:30'"),
    "1_000 as a number": ("batch_size: 1_000\n", f"4:13: batch_size: {POSITIVE}, got '1_000'"),
    "a date as a number": (
        "batch_size: 2024-13-45\n",
        f"4:13: batch_size: {POSITIVE}, got '2024-13-45'",
    ),
    "a key given twice": ("epochs: 2\n", "4:1: epochs: is given twice"),
    "a key given twice below": (
        "output: {units: 1, units: 1}\n",
        "4:20: output.units: is given twice",
    ),
    "a key given twice, once in quotes": ("'epochs': 2\n", "4:1: epochs: is given twice"),
    "a merge key": (
        "output: {<<: {units: 1}}\n",
        "4:10: output['<<']: unknown key; allowed: use_bias, kernel_initializer, "
        "bias_initializer, kernel_regularizer, bias_regularizer, units, activation, scaling, "
        "probability_floor",
    ),
    "a tab before a key": (
        "output:\n\tunits: 1\n",
        "5:1: not YAML: found character that cannot start any token (indent with spaces, not tabs)",
    ),
    "a tab before a later key": (
        "output:\n  units: 1\n\tactivation: linear\n",
        "6:1: not YAML: found a tab character that violates indentation (indent with spaces, not "
        "tabs)",
    ),
    "two documents": (
        f"---\n{CONFIG}",
        "4:1: a second YAML document begins; a config must be a single document: remove the '---'",
    ),
    "a number of 5,000 digits": (
        f"seed: {'1' * 5000}\n",
        f"4:7: seed: can't read '{'1' * 37}...' as int",
    ),
    "a fraction of 5,000 digits": (
        f"optimizer: {{name: sgd, learning_rate: {'1' * 5000}.5}}\n",
        "4:39: optimizer.learning_rate: expected a number above 0, got inf",
    ),
    "an exponent of 5,000 digits": (
        f"seed: 1e{'9' * 5000}\n",
        "4:7: seed: expected an integer from 0 to 4,294,967,295, got inf",
    ),
    "mappings 3,000 deep": (
        f"name: {'{a: ' * 3000}{'}' * 3000}\n",
        "4:163: is nested more than 40 deep",
    ),
    "an alias of nothing": ("name: *a\n", "4:7: not YAML: found undefined alias"),
    "an alias of itself": (
        "metrics: &a [*a]\n",
        "4:10: metrics: its aliases expand without bound",
    ),
    "an alias of what is around it": (
        "output: &a {units: *a}\n",
        "4:9: output: its aliases expand without bound",
    ),
    "an alias bomb": (BOMB, "8:5: a4: its aliases expand without bound"),
    "a tag that calls": (
        "metrics: !!python/object/apply:os.mkdir [made]\n",
        "4:10: metrics: the tag '!!python/object/apply:os.mkdir' is not allowed",
    ),
    "a tag that makes an object": (
        "metrics: !!python/object/new:os.mkdir {args: [made]}\n",
        "4:10: metrics: the tag '!!python/object/new:os.mkdir' is not allowed",
    ),
    "a tag that imports": (
        "name: !!python/module:this\n",
        "4:7: name: the tag '!!python/module:this' is not allowed",
    ),
    "a tag that names a thing": (
        "name: !!python/name:os.system\n",
        "4:7: name: the tag '!!python/name:os.system' is not allowed",
    ),
    "a tag on a key": (
        "!!python/name:os.system name: a\n",
        "4:1: name: the tag '!!python/name:os.system' is not allowed",
    ),
    "a tag in full": (
        "name: !<tag:yaml.org,2002:python/name:os.system> a\n",
        "4:7: name: the tag '!!python/name:os.system' is not allowed",
    ),
    "bytes": ("name: !!binary aGk=\n", "4:7: name: the tag '!!binary' is not allowed"),
    "a list as a key": ("? [a]\n: 1\n", "4:3: a key must be text, not a list or a mapping"),
    "a bell": ("name: a\x07\n", "4:8: has the character U+0007, which YAML forbids; remove it"),
    "colours": (
        "# äö \x1b[31m\n",
        "4:6: has the character U+001B, which YAML forbids; remove it",
    ),
    "a control character of C1": (
        "name: a\x9b31m\n",
        "4:8: has the character U+009B, which YAML forbids; remove it",
    ),
    "a NUL": ("name: a\0\n", "4:8: has a NUL character; save the file as UTF-8"),
}


@pytest.mark.parametrize(("lines", "message"), REFUSED.values(), ids=REFUSED)
def test_lines_that_are_no_config_are_refused_at_their_place(lines, message, refused):
    Path("c.yaml").write_text(CONFIG + lines, encoding="utf-8")
    refused(2, f"c.yaml:{message}", ["train", "c.yaml"])


def test_lists_3_000_deep_are_refused_in_their_line(dlcli, folder):
    Path("c.yaml").write_text(f"{CONFIG}name: {'[' * 3000}{']' * 3000}\n")
    result = dlcli("train", "c.yaml")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: c.yaml:4:")
    assert result.stderr.endswith(": is nested more than 40 deep\n")
    assert len(result.stderr.splitlines()) == 1
    assert not (folder / "runs").exists()


EMPTY = "1:1: is empty; start from 'dlcli init DATA'"
NO_MAPPING = "expected keys and values (data: ..., hidden: ...) at the top"
REFUSED_WHOLE = {
    "nothing": (b"", EMPTY),
    "a byte order mark alone": (b"\xef\xbb\xbf", EMPTY),
    "blank lines": (b"\n \n\n", EMPTY),
    "remarks alone": (b"# data: t.csv\n", EMPTY),
    "a null": (b"~\n", f"1:1: {NO_MAPPING}"),
    "a list at the root": (b"# mine\n- data\n- hidden\n", f"2:1: {NO_MAPPING}"),
    "a word": (b"  data\n", f"1:3: {NO_MAPPING}"),
    "a list in brackets": (b"[data, hidden]\n", f"1:1: {NO_MAPPING}"),
    "latin-1": (
        f"{CONFIG}name: café\n".encode("latin-1"),
        "4:10: byte 0xe9 is not UTF-8; save the file as UTF-8",
    ),
    "UTF-16 that does not say so": (
        CONFIG.encode("utf-16-le"),
        "1:2: has a NUL character; save the file as UTF-8",
    ),
    "UTF-16 cut short": (
        CONFIG.encode("utf-16")[:-1],
        "3:10: byte 0x0a is not UTF-16-LE; save the file as UTF-8",
    ),
    "UTF-32": (CONFIG.encode("utf-32"), "1:1: has a NUL character; save the file as UTF-8"),
    "more than 8 MiB": (
        CONFIG.encode().ljust(2**23 + 1, b"#"),
        "1:1: is over 8 MiB, too large for a config",
    ),
}


@pytest.mark.parametrize(("content", "message"), REFUSED_WHOLE.values(), ids=REFUSED_WHOLE)
def test_what_is_no_mapping_or_no_text_is_refused(content, message, refused):
    Path("c.yaml").write_bytes(content)
    refused(2, f"c.yaml:{message}", ["train", "c.yaml"])
