"""What a setting may be in a search: a list of choices, or a range of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar

from pydantic import Field, GetCoreSchemaHandler, TypeAdapter
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from dlcli.config.section import Conflict, Described, Expected, Flag, Section, shown

MOST_CHOICES = 1000
_EXACT = 2**53
"""Up to here, a float holds every whole number."""

End = Annotated[
    Annotated[int, Field(ge=-_EXACT, le=_EXACT)] | Annotated[float, Field(allow_inf_nan=False)],
    Expected("a number"),
]
Step = Annotated[
    Annotated[int, Field(gt=0, le=_EXACT)] | Annotated[float, Field(gt=0, allow_inf_nan=False)],
    Expected("a number above 0"),
]


class Range(Section):
    """Numbers from low to high, both included: whole ones, if all that is said of them is whole."""

    synonyms: ClassVar[Mapping[str, str]] = {
        "min": "low",
        "lower": "low",
        "from": "low",
        "start": "low",
        "max": "high",
        "upper": "high",
        "to": "high",
        "stop": "high",
        "end": "high",
    }

    low: End
    """The least, in the setting's own unit."""
    high: End
    """The greatest."""
    log: Flag = False
    """Whether equal ratios are equally likely instead of equal differences: what spans powers of
    ten, as learning rates do."""
    step: Step | None = None
    """Distance from one value to the next; if left out, 1 for whole numbers, else any number."""

    @property
    def is_whole(self) -> bool:
        """Whether its values are whole numbers."""
        return all(isinstance(each, int | None) for each in (self.low, self.high, self.step))

    @property
    def count(self) -> int | None:
        """How many values it has; `None` for all numbers between."""
        if self.step is None:
            return int(self.high) - int(self.low) + 1 if self.is_whole else None
        low, high, step = (Decimal(repr(each)) for each in (self.low, self.high, self.step))
        return int((high - low) / step) + 1

    def conflicts(self) -> Iterator[Conflict]:
        """Yields ends in the wrong order, and what can't be spaced as asked."""
        if self.low >= self.high:
            yield "high", f"expected a number above low, {self.low}, got {self.high}"
        elif self.step is not None and self.step > self.high - self.low:
            yield "step", f"{self.step} leads beyond high, {self.high}, at once"
        if self.log and self.low <= 0:
            yield "low", f"expected a number above 0 beside log: true, got {self.low}"
        if self.log and self.step is not None:
            yield "step", "can't be beside log: true; leave one of them out"


class _Varied:
    """Marks what is a range or a list of choices.

    Args:
        nested: whether a mapping of settings to such will do, too.
    """

    def __init__(self, *, nested: bool) -> None:
        self.nested = nested

    def __get_pydantic_core_schema__(
        self,
        source: Any,  # noqa: ANN401
        handler: GetCoreSchemaHandler,
    ) -> CoreSchema:
        def validate(value: object, _: core_schema.ValidatorFunctionWrapHandler) -> object:
            if isinstance(value, tuple):
                return _checked(value)
            if self.nested and isinstance(value, Mapping) and _is_nest(value):
                return _NEST.validate_python(value)
            if isinstance(value, Mapping | Range):
                return Range.model_validate(value)
            forms = "a list of choices or a range as {low: ..., high: ...}"
            raise _error(f"expected {forms}, got {shown(value)}")

        return core_schema.no_info_wrap_validator_function(validate, handler(source))


def _is_nest(value: Mapping[str, object]) -> bool:
    """Whether settings stand in a mapping, rather than the keys of a range."""
    is_range = any(key in Range.model_fields or key in Range.synonyms for key in value)
    is_varied = any(isinstance(each, Mapping | tuple | Range) for each in value.values())
    return is_varied and not is_range


def _checked(choices: tuple[object, ...]) -> tuple[object, ...]:
    """Choices of which each is another."""
    if not 2 <= len(choices) <= MOST_CHOICES:
        came = f"got {len(choices)}" + ("; set it in the config itself" if choices else "")
        raise _error(f"expected from 2 to {MOST_CHOICES} choices, {came}")
    for at, choice in enumerate(choices):
        if choice in choices[:at]:
            raise _error(f"has the choice {shown(choice)} twice")
    return choices


def _error(message: str) -> PydanticCustomError:
    return PydanticCustomError("choice", "{message}", {"message": message})


Choices = Annotated[tuple[object, ...], Field(min_length=2, max_length=MOST_CHOICES)]
Variation = Annotated[Range | Choices, _Varied(nested=False)]
Nest = Mapping[str, Variation]
Space = Annotated[
    Mapping[str, Annotated[Range | Choices | Nest, _Varied(nested=True)]],
    Field(json_schema_extra={"minProperties": 1}),
    Described("settings by their paths, each with a list of choices or a range"),
]
_NEST: TypeAdapter[Nest] = TypeAdapter(Nest)
