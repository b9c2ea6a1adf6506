"""Write the tables of docs/events.md: every event with its fields, from `dlcli.pipeline.events`.

python docs/generate_events.py
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import Field, fields
from pathlib import Path

from pydantic import BaseModel

from dlcli.diagnosis.case import Magnitudes
from dlcli.pipeline import events
from dlcli.prediction.baseline_comparison import BaselineComparison
from dlcli.prediction.predictor import Selection
from dlcli.runs import documents

PAGE = Path(__file__).parent / "events.md"
BLOCK = re.compile(r"(<!-- events: ([\w ]+) -->\n).*?(?=<!-- end -->)", re.DOTALL)
"""The part of the page for some events, which names their types; all other text is handwritten."""
DOCUMENTS = {"Magnitudes": Magnitudes, "Selection": Selection} | {
    f"documents.{name}": document
    for name, document in vars(documents).items()
    if isinstance(document, type) and issubclass(document, BaseModel)
}
"""The types of fields whose own fields are written directly into the JSON object of an event."""
TABLES = {"BaselineComparison": BaselineComparison}
"""The types of fields whose own fields have a separate table."""


def events_page() -> str:
    """Return the page."""

    def described(block: re.Match[str]) -> str:
        kinds = [getattr(events, name) for name in block[2].split()]
        return "\n".join([block[1], *(part for kind in kinds for part in event_parts(kind)), ""])

    return BLOCK.sub(described, PAGE.read_text(encoding="utf-8"))


def event_parts(kind: type[events.Event]) -> Iterator[str]:
    """Yield the meaning of an event, the table of its fields, and notes on nested fields."""
    meaning = " ".join((inspect.getdoc(kind) or "").split())
    yield f"`{kind.kind}` (`{kind.__name__}`): {meaning[0].lower()}{meaning[1:]}\n"
    rows, docs, nested = list[tuple[str, str]](), attribute_docs(kind), list[str]()
    for field in fields(kind):  # type: ignore[arg-type]  # each event is a dataclass
        inner = dict(inline_rows(field))
        rows += inner.items() or [(field.name, docs[field.name])]
        if inner:
            names = ", ".join(f"`{name}`" for name in inner)
            attributes = f"attributes of `event.{field.name}`"
            nested.append(f"In Python, these fields are {attributes}: {names}.\n")
        if table := TABLES.get(str(field.type)):
            nested += [
                f"The object `{field.name}` has these fields:\n",
                field_table(attribute_docs(table).items()),
            ]
    yield field_table(rows)
    yield from nested


def field_table(rows: Iterable[tuple[str, str]]) -> str:
    """Return the table of names and meanings of fields."""
    lines = [f"| `{name}` | {cell(doc)} |" for name, doc in rows]
    return "\n".join(["| field | meaning |", "|---|---|", *lines]) + "\n"


def inline_rows(field: Field[object]) -> Iterator[tuple[str, str]]:
    """Yield names and meanings of the fields that replace a field in the JSON object."""
    names = field.metadata.get(events.INLINE)
    document = DOCUMENTS.get(str(field.type))
    if names is None or document is None:
        return
    docs = attribute_docs(document)
    for name in document.model_fields:
        if not names or name in names:
            yield name, docs[name]


def attribute_docs(kind: type) -> dict[str, str]:
    """Return the docstring below each attribute of a class."""
    [definition] = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(definition, ast.ClassDef)
    docs = {}
    for each, following in zip(definition.body, [*definition.body[1:], None], strict=True):
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            match following:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    docs[each.target.id] = text
    return docs


def cell(text: str) -> str:
    """Return a docstring as a cell of a table, in terms of JSON."""
    plain = " ".join(text.split()).removesuffix(".").replace("`None`", "`null`").replace("|", "\\|")
    return f"{plain[0].lower()}{plain[1:]}" if plain[1:2].islower() or plain[1:2] == " " else plain


if __name__ == "__main__":
    PAGE.write_text(events_page(), encoding="utf-8")
