"""Write docs/reference.md and docs/reference/: every key of the config, from its schema.

python docs/generate_reference.py
"""

from __future__ import annotations

import inspect
import json
import posixpath
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from dlcli.config.config_schema import Config, json_schema
from dlcli.schema.section import Expected, OneOf, Section
from dlcli.schema.yaml_document import dump_yaml
from dlcli.tables.table_formats import DIRECTIVES

DOCS = Path(__file__).parent
SCHEMA = Path(__file__).parents[1] / "configs" / "dlcli.schema.json"
OVERVIEW = "reference.md"
BEGINNING = """\
# Every key of the config

All keys of the config, their values and their defaults. A key with many values or with keys below
it has a separate page. [The config by example](config.md) shows most of the keys in use, the
[tutorial](tutorial/1-line.md) explains what they do, and `dlcli schema` prints a JSON Schema for
editors.

- Each entry has the path of the key, its allowed values and its default. **Required** keys are
  first on each page. If you omit an *optional* key, the text after "Omitted:" applies.
- In a path, `[i]` stands for an item of a list, counted from 0, and `*` for a name that you choose,
  such as the name of a column. `--set` takes the same paths: `--set optimizer.learning_rate=0.01`,
  or `--set 'hidden[0].units=64'`.
- If a value has parameters, write `name` or `{name: ..., parameter: ...}`, such as
  `optimizer: {name: sgd, momentum: 0.9}`. The parameters are listed below each name.
- Spellings of Keras and scikit-learn with the same meaning, such as `Adam`, `swish`, `mse` or
  `MeanSquaredError`, are accepted. The resolved config in the run folder has the names listed here.
- An integer may have an exponent, such as `1e3`.
- `[0, 1)` means from 0 (included) to 1 (excluded).

The examples are parts of a config such as this one:

```yaml
# bikes.yaml
data: {train: data/bikes.csv, target: rentals, validation: 0.15, test: 0.15}
hidden:
  - {units: 64, activation: relu}
epochs: 100
```

## The whole config

"""
TITLES = {
    "data": "files, target column, validation and test rows",
    "input": "features, scaling, encodings, missing values",
    "hidden": "layers of neurons, activations, dropout, regularization",
    "output": "the output layer",
    "loss": "losses for regression and classification",
    "decision": "thresholds and costs of classes",
    "optimizer": "Adam, SGD and other optimizers",
    "learning_rate_multipliers": "learning rates of kernels, biases and encodings",
    "learning_rate_schedule": "warm-up, decay, warm restarts",
    "early_stopping": "when to stop before the last epoch",
    "ensemble": "several networks, averaged",
    "distill": "one network that learns from an ensemble",
    "engine": "how the network is trained",
    "gates": "quality gates on metrics",
    "checkpoint": "when to store the state of training",
    "explanation": "training rows for explanations",
    "tune": "hyperparameter search",
}
"""What the page of each key is about, in words that people search for."""
UNIONS = (Union, UnionType)
MANY = 5
"""Number of choices up to which a parameter that they share is listed with each."""


@dataclass(frozen=True)
class Choice:
    """Sections of which the config names one, and where."""

    noun: str
    key: str
    """The key that decides: `name` or `type`."""
    places: tuple[tuple[str, tuple[type[Section], ...]], ...]
    """Each key with this choice, and the sections allowed there."""

    @property
    def members(self) -> tuple[type[Section], ...]:
        """All sections that can be chosen."""
        return tuple(dict.fromkeys(member for _, members in self.places for member in members))

    @property
    def title(self) -> str:
        """Plural of the noun, the heading."""
        ending = {"y": "ies", "s": "ses"}.get(self.noun[-1], f"{self.noun[-1]}s")
        return f"{self.noun[:-1]}{ending}".capitalize()

    @property
    def anchor(self) -> str:
        """The heading's place on its page."""
        return self.title.lower().replace(" ", "-")


def reference() -> dict[str, str]:
    """Return the pages by their paths in docs/."""
    choices = find_choices()
    pages = {OVERVIEW: ""}
    homes: dict[str, str] = {}
    for name, field in Config.model_fields.items():
        here = choices_of_key(name, choices, homes)
        body = [*section_parts(name, field), *chain.from_iterable(map(choice_parts, here))]
        if name == "input":
            body += ["## Directives of datetime formats\n", directive_table()]
        if body:
            page = f"reference/{name}.md"
            homes |= {choice.anchor: page for choice in here}
            about = (
                "The [reference of all keys](../reference.md) explains the notation of this page.\n"
            )
            beginning = [f"# `{name}`: {TITLES[name]}\n", about, example(name)]
            pages[page] = "\n".join([*beginning, *body])
    pages[OVERVIEW] = BEGINNING + linked_keys(key_list(Config, ""), pages)
    return {page: led_to(homes, page, text) for page, text in pages.items()}


def choices_of_key(
    name: str, choices: Mapping[str, Choice], homes: Mapping[str, str]
) -> list[Choice]:
    """Return the choices at or below a key that are not on a page yet."""
    return [
        choice
        for choice in choices.values()
        if choice.anchor not in homes
        and any(re.match(rf"`{name}\b", place) for place, _ in choice.places)
    ]


def linked_keys(keys: str, pages: Collection[str]) -> str:
    """Let each key lead to its page, if it has one."""
    return re.sub(
        r"(?m)^- (\*\*`(\w+)`\*\*)",
        lambda key: (
            f"- [{key[1]}]({page})" if (page := f"reference/{key[2]}.md") in pages else key[0]
        ),
        keys,
    )


def led_to(homes: Mapping[str, str], page: str, text: str) -> str:
    """Let links to choices lead to the pages that have them."""

    def link(anchor: re.Match[str]) -> str:
        home = homes[anchor[1]]
        path = "" if home == page else posixpath.relpath(home, posixpath.dirname(page) or ".")
        return f"]({path}#{anchor[1]})"

    return re.sub(r"\]\(#([\w-]+)\)", link, text)


def example(name: str) -> str:
    """Return the example of a key of the config."""
    examples = Config.field_docs()[name].examples
    assert examples is not None
    flow = None if isinstance(examples[0], dict | list) else False
    return f"```yaml\n{dump_yaml({name: examples[0]}, flow=flow)}```\n"


def directive_table() -> str:
    """Return the table of what the format of a datetime is made of."""
    rows = [
        (f"`{directive}`", f"{meaning[0].upper()}{meaning[1:]}.")
        for directive, meaning in DIRECTIVES.items()
    ]
    return table(("directive", "meaning"), rows)


def find_choices() -> dict[str, Choice]:
    """Return the choices by noun, in the order of the config."""
    found: dict[str, Choice] = {}
    for place, field in walk(Config, ""):
        for mark, members in choices_in(field):
            choice = found.get(mark.noun, Choice(mark.noun, mark.key, ()))
            found[mark.noun] = replace(choice, places=(*choice.places, (place, members)))
    return found


def walk(section: type[Section], above: str, of: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield every key of a section and of those below it, with its path."""
    for name, field in section.model_fields.items():
        yield f"`{above}{name}`{of}", field
        for below, step in sections_in(field):
            yield from walk(below, f"{above}{name}{step}.", of)
        for mark, members in choices_in(field):
            for member in members if mark.key == "type" else ():  # only features' have choices
                of_type = f" of {member.model_fields['type'].default} features"
                yield from walk(member, f"{above}{name}.*.", of_type)


def section_parts(name: str, field: FieldInfo) -> Iterator[str]:
    """Yield the tables of a key that is a section, and of the sections in it."""
    for section, step in sections_in(field):
        yield f"{doc(section)}\n"
        yield key_list(section, f"{name}{step}.")
        for key, below in section.model_fields.items():
            for part, further in sections_in(below):
                path = f"{name}{step}.{key}{further}"
                yield f"## {path}\n\n{doc(part)}\n"
                yield key_list(part, f"{path}.")


def choice_parts(choice: Choice) -> Iterator[str]:
    """Yield the heading, keys and members of a choice."""
    yield f"## {choice.title}\n"
    yield f"{places(choice)}\n"
    shared = shared_parameters(choice)
    yield "".join(chain.from_iterable(member_lines(choice, m, shared) for m in choice.members))
    if shared:
        yield "All entries above also have the following parameters. If an entry lists one of them "
        yield "itself, its own description applies:\n"
        yield "".join(shared)
    for member in choice.members:
        for name, field in member.model_fields.items():
            for section, step in sections_in(field):
                yield f"### {name}{step}\n\n{doc(section)}\n"
                yield key_list(section, "")


def places(choice: Choice) -> str:
    """Return the sentence on the keys with a choice, and where only some sections are allowed."""
    every = choice.members
    lines = []
    for members in dict.fromkeys(members for _, members in choice.places):
        at = [place for place, here in choice.places if here == members]
        if choice.key == "type":
            at = [f"{place[:-1]}.*`" for place in at]
        names = ", ".join(f"`{chosen(choice, member)}`" for member in members)
        lines.append(", ".join(at) + ("" if members == every else f": only {names}"))
    # A comment separates the list from the list of the choices.
    return (
        f"Values of {lines[0]}:"
        if len(lines) == 1
        else "\n- ".join(["Values of these keys:\n", *lines]) + "\n\n<!-- -->"
    )


def shared_parameters(choice: Choice) -> list[str]:
    """Return the lines of parameters that most members of a choice share."""
    lines = Counter(
        key_line(member, name) for member in choice.members for name in member.model_fields
    )
    most = max(MANY, 3 / 4 * len(choice.members))
    return [line for line, count in lines.items() if count > most]


def member_lines(choice: Choice, member: type[Section], shared: Collection[str]) -> Iterator[str]:
    """Yield the lines of a section: its name, and its parameters that are not shared."""
    name = chosen(choice, member)
    alike = [each for each in choice.members if chosen(choice, each) == name]
    of_types = f" of {places_of(choice, member)}" if len(alike) > 1 else ""
    yield f"- **`{name}`**{of_types}: {doc(member)}\n"
    for name in member.model_fields:
        line = key_line(member, name)
        if name != choice.key and line not in shared:
            yield f"    {line}"


def places_of(choice: Choice, member: type[Section]) -> str:
    """Return the kinds of features with a choice: `boolean features`."""
    return ", ".join(
        place.partition(" of ")[2] for place, members in choice.places if member in members
    )


def chosen(choice: Choice, member: type[Section]) -> str:
    """Return the name that chooses a section."""
    return str(get_args(member.model_fields[choice.key].annotation)[0])


def key_list(section: type[Section], above: str) -> str:
    """Return the list of the keys of a section."""
    names = sorted(
        section.model_fields, key=lambda name: not section.model_fields[name].is_required()
    )
    return "".join(key_line(section, name, above) for name in names)


def key_line(section: type[Section], name: str, above: str = "") -> str:
    """Return the list item of a key: path, values and default, and in a second line its meaning."""
    field = section.model_fields[name]
    value = in_words(field.annotation, field.metadata)
    doc = section.field_docs()[name].text if name in section.field_docs() else ""
    return f"- **`{above}{name}`** · {value} · {default(field)}<br>{one_line(doc)}\n"


def in_words(annotation: Any, metadata: Iterable[object] = ()) -> str:  # noqa: ANN401
    """Return the phrase for the allowed values, as in error messages."""
    for mark in metadata:
        if isinstance(mark, Expected):
            return mark.phrase
        if isinstance(mark, OneOf):
            return a_choice(mark)
    if get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        return in_words(inner, marks)
    if get_origin(annotation) is Literal:
        words = (f"`{word}`" if word.strip() else "a space" for word in get_args(annotation))
        return " | ".join(words)
    if get_origin(annotation) in UNIONS:
        parts = [in_words(part) for part in get_args(annotation) if part is not NoneType]
        return ", or ".join(parts)
    return a_container(annotation)


def a_choice(mark: OneOf) -> str:
    """Return a link to the table of a choice."""
    choice = Choice(mark.noun, mark.key, ())
    return f"[one of the {choice.title.lower()}](#{choice.anchor})"


def a_container(annotation: Any) -> str:  # noqa: ANN401
    """Return the phrase for a list, a mapping or a section."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is tuple:
        return f"a list, each {in_words(inner[0])}"
    if origin is not None and issubclass(origin, Mapping):
        is_gate = isinstance(inner[1], type) and issubclass(inner[1], Section)
        return f"a mapping from {'metric' if is_gate else 'column'} to {in_words(inner[1])}"
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return "a section"
    raise TypeError(f"no words for {annotation}")


def default(field: FieldInfo) -> str:
    """Return the default of a key."""
    if field.is_required():
        return "**required**"
    return "optional" if field.default is None else f"default `{as_yaml(field.default)}`"


def as_yaml(value: object) -> str:
    """Return a default as YAML; a choice without other than default parameters by its name."""
    if isinstance(value, str):
        return value
    if not isinstance(value, Section):
        return json.dumps(value, ensure_ascii=False)
    deciding = getattr(value, "name", None) or getattr(value, "type", None)
    return str(deciding) if deciding and value.is_default else "{}"


def sections_in(field: FieldInfo) -> Iterator[tuple[type[Section], str]]:
    """Yield the sections of a key without a choice, with `[i]` for a list."""
    if not any(isinstance(mark, OneOf) for mark in field.metadata):
        yield from dict.fromkeys(sections_of(field.annotation, ""))


def sections_of(annotation: Any, step: str) -> Iterator[tuple[type[Section], str]]:  # noqa: ANN401
    """Yield the sections in a type, with `[i]` for a list and `.*` for a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation, step
    inner, *marks = get_args(annotation) or (None,)
    if get_origin(annotation) is tuple:
        yield from sections_of(inner, "[i]")
    elif get_origin(annotation) is Mapping:
        yield from sections_of(marks[0], ".*")
    elif get_origin(annotation) is Annotated and not any(isinstance(m, OneOf) for m in marks):
        yield from sections_of(inner, step)
    elif get_origin(annotation) in UNIONS:
        for part in get_args(annotation):
            yield from sections_of(part, step)


def choices_in(field: FieldInfo) -> Iterator[tuple[OneOf, tuple[type[Section], ...]]]:
    """Yield the choice of a key, or of its items."""
    for mark in field.metadata:
        if isinstance(mark, OneOf):
            yield mark, tuple(mark.members_in(field.annotation).values())
    yield from choices_of(field.annotation)


def choices_of(annotation: Any) -> Iterator[tuple[OneOf, tuple[type[Section], ...]]]:  # noqa: ANN401
    """Yield the choices in a type."""
    if get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        for mark in marks:
            if isinstance(mark, OneOf):
                yield mark, tuple(mark.members_in(inner).values())
    for part in get_args(annotation):
        yield from choices_of(part) if get_origin(part) else ()


def doc(section: type[Section]) -> str:
    """Return the docstring of a section."""
    return one_line(inspect.getdoc(section) or "")


def one_line(text: str) -> str:
    """Return a text without line breaks."""
    return " ".join(text.split())


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(tuple(header)), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    for name, page in reference().items():
        DOCS.joinpath(name).parent.mkdir(exist_ok=True)
        DOCS.joinpath(name).write_text(page, encoding="utf-8")
    SCHEMA.write_text(json_schema(), encoding="utf-8")
