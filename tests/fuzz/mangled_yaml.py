"""Configs with anything wrong in them: keys and values moved about, or any bytes at all."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import yaml

SHIPPED = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
TABLE = "x,n,colour,text,day,house,weight,y,kind,side,a,b\n" + "".join(
    ",".join(map(str, row)) + "\n"
    for row in zip(
        *([at / 4 for at in range(40)], [at % 7 for at in range(40)], ["red", "blue"] * 20),
        *(
            [f"word {at % 5}" for at in range(40)],
            [f"2024-01-{1 + at % 28:02}" for at in range(40)],
        ),
        *([f"h{at % 6}" for at in range(40)], [1, 2] * 20, range(40), ["p", "q", "q", "r"] * 10),
        *(["true", "false"] * 20, [0, 1] * 20, [0, 0, 1, 1] * 10),
        strict=True,
    )
)
"""A table for the configs that are written here; `mangled` names it t.csv."""
WRITTEN = (
    """\
name: numbers
seed: 7
data:
  train: t.csv
  validation: 0.2
  test: 0.1
  split: {name: group, column: house}
  target: {column: y, type: numeric}
  sample_weight: weight
  missing: ["?", "NA"]
  format: {name: csv, delimiter: ",", encoding: utf-8, decimal: "."}
  storage: memory
input:
  scaling: robust
  encoding: none
  features:
    x: {type: numeric, scaling: {name: divide, by: 255}, missing: median}
    n: {type: numeric, encoding: {name: piecewise_linear, bins: 4}}
    colour: {type: categorical, encoding: {name: embedding, units: 2}, min_count: 2}
    text: {type: text, encoding: {name: tf_idf, max_tokens: 50, ngrams: 2}}
    day: {type: datetime, parts: [month, weekday], timezone: Europe/Berlin}
    "*": ignored
hidden:
  - {units: 8, activation: {name: elu, alpha: 0.5}, dropout: 0.2, batch_normalization: true}
  - {units: 4, activation: gelu, kernel_initializer: he_normal, bias_regularizer: l2}
output: {units: 1, activation: linear, scaling: standard, use_bias: false}
loss: {name: huber, delta: 1.5}
metrics: [mae, r2]
optimizer: {name: adamw, learning_rate: 1e-3, weight_decay: 1e-4, clipnorm: 1.0}
learning_rate_schedule: {name: piecewise_constant, boundaries: [2, 4], values: [0.5, 0.1]}
epochs: 10
batch_size: 16
early_stopping: {monitor: val_loss, patience: 3, min_delta: 0.0, restore_best_weights: true}
engine: {name: compiled, jit_compile: auto}
device: cpu
threads: 1
precision: float32
checkpoint: {seconds: 30}
tune:
  metric: val_rmse
  trials: 20
  time: 1h30m
  space:
    optimizer.learning_rate: {low: 1e-4, high: 1e-1, log: true}
    hidden_layers:
      number: {low: 0, high: 3}
      units: [4, 8]
      dropout: {low: 0, high: 0.5, step: 0.1}
    loss: [mean_squared_error, {name: huber, delta: 2}]
    early_stopping: [null, {patience: 2}]
  folds: 3
  sampler: {name: tpe, startup_trials: 5}
  pruner: {name: median, startup_trials: 5, warmup: 0.2}
""",
    """\
data: {train: [t.csv], target: kind, validation: t.csv, test: 0.2, split: stratified}
input: {features: {x: auto, side: boolean, day: datetime, n: {type: numeric, scaling: log1p}}}
hidden: []
output: {units: 3, activation: softmax}
loss: sparse_categorical_crossentropy
class_weight: {p: 1, q: 2.5, r: 1}
metrics: [accuracy, f1]
optimizer: {name: sgd, momentum: 0.9, nesterov: true, use_ema: true, ema_overwrite_frequency: 2}
learning_rate_schedule: {name: reduce_on_plateau, monitor: val_loss, factor: 0.5}
epochs: 5
engine: keras
""",
    """\
data:
  train: t.csv
  target: [a, b]
  split: {name: time, column: day}
  test: 0.2
input: {features: [x, n, colour]}
hidden: [&layer {units: 4, activation: relu}, *layer]
epochs: 3
learning_rate_schedule: {name: exponential_decay, decay_epochs: 2, decay_rate: 0.5}
initial_weights: runs/earlier
""",
)

Node = object
"""A scalar as it is written, a list of nodes, or a `Mapping`."""


class Mapping(list["list[Node]"]):
    """Pairs of key and value, of which some may have the same key."""


ODD = (
    *("", "~", "null", "true", "no", "on", "0", "-1", "-0.0", "1.5", "8.0", "010", "0x1F", "0o17"),
    *("1e-3", "1e999", "-1e999", ".nan", ".inf", "-.inf", "1_000", "1:30", "2024-13-45", "+1", "."),
    *("9" * 30, "9" * 400, "9" * 5000, "0x" + "f" * 500, "2147483648", "4294967296", "1e-400"),
    *(
        "'8'",
        "''",
        '""',
        '"\\0"',
        '"\\e[31m"',
        '"a\\nb"',
        '"\\ud800"',
        '"\\U0010FFFF"',
        "é",
        "数据",
    ),
    *("[]", "{}", "[[]]", "[{}]", "{a: 1}", "{name: x}", "{name: }", "{? [a] : b}", "[1, 2, 3]"),
    *("auto", "none", "name", "x", "y", "'*'", "'?'", "a.b", "'a[0]'", "..", "../t.csv", "/", "-"),
    *("<<", "{<<: {units: 1}}", "=", "@a", "%a", "`a`", "!x", "!!str 5", "!!int x", "!!null x"),
    *("!!binary aGk=", "!!python/name:os.system", "!!set {a, b}", "!!omap [a: 1]", "!<x> y"),
    *("&a b", "*a", "*b", "&a [*a]", "&a {b: *a}", "? a", "- a", "a: b", "#", "|", ">", "'", '"'),
    *("[" * 30 + "]" * 30, "[" * 60 + "]" * 60, "{a: " * 60 + "}" * 60, "x" * 5000, "runs/none"),
)
"""What stands in the place of a key or a value."""
LIKELY = (
    "0",
    "1",
    "2",
    "0.1",
    "0.5",
    "1e-8",
    "1e30",
    "100000",
    "true",
    "false",
    "null",
    "auto",
    "none",
)
TAGS = ("!!str", "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq", "!x", "!!python/tuple")
SNIPPETS = (
    *("\t", "  ", "\n", "\r", "\r\n", "---\n", "...\n", "- ", ": ", ", ", "{", "}", "[", "]"),
    *("# ", "&a ", "*a", "!!str ", "? ", "'", '"', "|\n", ">-\n", "%YAML 1.1\n", "%TAG ! x\n"),
    *("\0", "\x07", "\x1b[0m", "\x85", "\u2028", "\ufeff", "\U0001f600", "\u00a0", "\x9b"),
)
ENCODINGS = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "utf-8-sig", "utf-7")


@cache
def sources() -> tuple[str, ...]:
    """The texts of good configs."""
    shipped = (path.read_text(encoding="utf-8") for path in SHIPPED)
    return (*shipped, *WRITTEN * 4)


def mangled(seed: int) -> bytes:
    """A config's content."""
    draw = random.Random(seed)
    if draw.random() < 0.03:
        return draw.randbytes(draw.choice((0, 1, 3, 30, 3000)))
    text = draw.choice(sources())
    if draw.random() < 0.9:
        tree = _tree(text)
        for _ in range(draw.choice((1, 1, 1, 2, 3, 10))):
            draw.choice(OF_TREES)(draw, tree)
        text = _text(tree)
    for _ in range(draw.choice((0, 0, 0, 0, 0, 1, 2))):
        text = draw.choice(OF_TEXT)(draw, text)
    encoding = draw.choice(ENCODINGS) if draw.random() < 0.05 else "utf-8"
    content = text.encode(encoding, "replace")
    for _ in range(draw.choice((0,) * 12 + (1, 5))):
        content = draw.choice((_flipped, _cut_bytes))(draw, content)
    return content


@cache
def _root(text: str) -> yaml.Node:
    return yaml.compose(text, Loader=yaml.SafeLoader)


def _tree(text: str) -> Mapping:
    tree = _node(_root(text), text)
    assert isinstance(tree, Mapping)
    return tree


def _node(node: yaml.Node, text: str) -> Node:
    if isinstance(node, yaml.MappingNode):
        return Mapping([_node(key, text), _node(value, text)] for key, value in node.value)
    if isinstance(node, yaml.SequenceNode):
        return [_node(item, text) for item in node.value]
    return text[node.start_mark.index : node.end_mark.index]


def _text(tree: Mapping) -> str:
    """The text of a tree: a line for each key at the top, all below in brackets."""
    return "".join(f"{_flow(key)}: {_flow(value)}\n" for key, value in tree)


def _flow(node: Node) -> str:
    if isinstance(node, Mapping):
        return f"{{{', '.join(f'{_flow(key)}: {_flow(value)}' for key, value in node)}}}"
    return f"[{', '.join(map(_flow, node))}]" if isinstance(node, list) else str(node)


Place = tuple[list[Node], int]
"""A list, a mapping or a pair, and an index in it."""


def _places(node: Node) -> Iterator[Place]:
    """Where values stand, at all depths: in pairs and in lists."""
    if isinstance(node, Mapping):
        for pair in node:
            yield pair, 1
            yield from _places(pair[1])
    elif isinstance(node, list):
        for at, item in enumerate(node):
            yield node, at
            yield from _places(item)


def _holders(node: Node) -> list[list[Node]]:
    """The mappings and lists that hold something."""
    below = [holder[at] for holder, at in _places(node)]
    return [each for each in (node, *below) if isinstance(each, list) and each]


def _some(draw: random.Random, tree: Mapping) -> Place:
    return draw.choice(list(_places(tree)) or [([""], 0)])


def _pair(draw: random.Random, tree: Mapping) -> list[Node]:
    mappings = [each for each in _holders(tree) if isinstance(each, Mapping)]
    return draw.choice(draw.choice(mappings)) if mappings else ["", ""]


def _any_value(draw: random.Random) -> Node:
    if draw.random() < 0.5:
        return draw.choice(ODD)
    holder, at = _some(draw, _tree(draw.choice(sources())))
    return holder[at]


def _replace_value(draw: random.Random, tree: Mapping) -> None:
    holder, at = _some(draw, tree)
    holder[at] = _any_value(draw)


def _likely_value(draw: random.Random, tree: Mapping) -> None:
    """Gives a key what it has in another config, or another number."""
    pairs = [
        holder for holder, _ in _places(tree) if len(holder) == 2 and _flow(holder[0]) in _values()
    ]
    if pairs:
        pair = draw.choice(pairs)
        pair[1] = draw.choice((*_values()[_flow(pair[0])], draw.choice(LIKELY)))


@cache
def _values() -> dict[str, list[str]]:
    """What each key has in the good configs."""
    found: dict[str, list[str]] = {}
    for text in dict.fromkeys(sources()):
        for holder, _ in _places(_tree(text)):
            if len(holder) == 2 and isinstance(holder[0], str):
                found.setdefault(holder[0], []).append(_flow(holder[1]))
    return found


def _replace_key(draw: random.Random, tree: Mapping) -> None:
    other = _pair(draw, _tree(draw.choice(sources())))[0]
    _pair(draw, tree)[0] = other if draw.random() < 0.7 else draw.choice(ODD)


def _swap_values(draw: random.Random, tree: Mapping) -> None:
    (one, at), (other, there) = _some(draw, tree), _some(draw, tree)
    value, another = _flow(one[at]), _flow(other[there])  # as text, or a value might hold itself
    one[at], other[there] = another, value


def _delete(draw: random.Random, tree: Mapping) -> None:
    if holders := _holders(tree):
        holder = draw.choice(holders)
        del holder[draw.randrange(len(holder))]


def _repeat(draw: random.Random, tree: Mapping) -> None:
    if holders := _holders(tree):
        holder = draw.choice(holders)
        again = draw.choice(holder)
        holder += [list(again) if isinstance(holder, Mapping) else _flow(again)] * draw.choice(
            (1, 1, 3, 300)
        )


def _add_pair(draw: random.Random, tree: Mapping) -> None:
    mappings = [each for each in _holders(tree) if isinstance(each, Mapping)] or [tree]
    key, value = _pair(draw, _tree(draw.choice(sources())))
    draw.choice(mappings).append([key, draw.choice((value, _any_value(draw)))])


def _move(draw: random.Random, tree: Mapping) -> None:
    """Takes a pair to where another is."""
    if tree:
        holder = draw.choice([each for each in _holders(tree) if isinstance(each, Mapping)])
        pair = holder.pop(draw.randrange(len(holder)))
        moved = [pair[0], _flow(pair[1])]
        mappings = [each for each in _holders(tree) if isinstance(each, Mapping)] or [tree]
        draw.choice(mappings).append(moved)


def _wrap(draw: random.Random, tree: Mapping) -> None:
    holder, at = _some(draw, tree)
    wrapped = Mapping([[draw.choice(("name", "type", "column", "a")), holder[at]]])
    holder[at] = draw.choice(([holder[at]], wrapped, [holder[at], holder[at]], wrapped))


def _unwrap(draw: random.Random, tree: Mapping) -> None:
    nested = [place for place in _places(tree) if isinstance(place[0][place[1]], list)]
    if nested:
        holder, at = draw.choice(nested)
        inner = list(_places(holder[at])) or [([""], 0)]
        within, there = draw.choice(inner)
        holder[at] = within[there]


def _tag(draw: random.Random, tree: Mapping) -> None:
    pair = _pair(draw, tree)
    at = draw.choice((0, 1, 1))
    pair[at] = f"{draw.choice(TAGS)} {_flow(pair[at])}"


def _alias(draw: random.Random, tree: Mapping) -> None:
    """Repeats one value in the place of others, or in its own."""
    holder, at = _some(draw, tree)
    for _ in range(draw.choice((1, 1, 2, 5))):
        other, there = _some(draw, tree)
        other[there] = "*a"
    holder[at] = f"&a {_flow(holder[at])}"


def _bomb(draw: random.Random, tree: Mapping) -> None:
    """A value of lists of lists, each of which repeats the one before."""
    wide, deep = draw.choice(((2, 3), (9, 4), (10, 9), (2, 39)))
    lists = ["&b0 [x]"] + [
        f"&b{level} [{', '.join([f'*b{level - 1}'] * wide)}]" for level in range(1, deep)
    ]
    holder, at = _some(draw, tree)
    holder[at] = f"[{', '.join(lists)}]"


OF_TREES: tuple[Callable[[random.Random, Mapping], None], ...] = (
    *(_likely_value,) * 12,
    *(_replace_value, _replace_value, _replace_value, _replace_key, _swap_values, _delete),
    *(_repeat, _add_pair, _move, _wrap, _unwrap, _tag, _alias, _bomb),
)


def _span(draw: random.Random, size: int) -> tuple[int, int]:
    start = draw.randint(0, size)
    return start, min(size, start + draw.choice((1, 1, 2, 10, 100)))


def _cut_text(draw: random.Random, text: str) -> str:
    start, stop = _span(draw, len(text))
    return text[:start] + text[stop:]


def _repeated_text(draw: random.Random, text: str) -> str:
    start, stop = _span(draw, len(text))
    return text[:stop] + text[start:stop] * draw.choice((1, 2, 300)) + text[stop:]


def _inserted_text(draw: random.Random, text: str) -> str:
    at = draw.randint(0, len(text))
    return text[:at] + draw.choice(SNIPPETS) * draw.choice((1, 1, 2, 50)) + text[at:]


def _other_order(draw: random.Random, text: str) -> str:
    lines = text.splitlines(keepends=True)
    draw.shuffle(lines)
    return "".join(lines)


def _indented(draw: random.Random, text: str) -> str:
    lines = text.split("\n")
    at = draw.randrange(len(lines))
    lines[at] = draw.choice((" ", "  ", "\t", "- ", "? ")) + lines[at]
    return "\n".join(lines)


def _large(draw: random.Random, text: str) -> str:
    """Many keys, repeated or not, or a long remark."""
    count = draw.choice((1000, 60_000))
    many = (f"k{at}: {at}\n" if draw.random() < 0.5 else "seed: 1\n" for at in range(count))
    return text + draw.choice(("".join(many), "#" * draw.choice((2**19, 2**20))))


OF_TEXT = (
    *(_cut_text, _cut_text, _repeated_text, _inserted_text, _inserted_text, _inserted_text),
    *(_other_order, _indented, _large),
)


def _flipped(draw: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 5, 100)) if content else 0):
        changed[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _cut_bytes(draw: random.Random, content: bytes) -> bytes:
    start, stop = _span(draw, len(content))
    return content[:start] + content[stop:]
