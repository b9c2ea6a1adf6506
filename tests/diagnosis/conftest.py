"""Cases made by hand."""

from __future__ import annotations

import pytest

from dlcli.config.config_file import load_config
from dlcli.diagnosis.case import Case
from dlcli.diagnosis.findings import examine
from tests.diagnosis.cases import CONFIG, ROWS


@pytest.fixture
def case(tmp_path):
    """Make a case of a config, by default of a regression without findings."""

    def make(*settings, config=CONFIG, **fields):
        path = tmp_path / "resolved.yaml"
        path.write_text(config)
        known = {"rows": ROWS, **fields}
        return Case(config=load_config(path, settings).config, **known)

    return make


@pytest.fixture
def named(case):
    """Return the names of the rules that apply to a case."""

    def names(*settings, **fields):
        return [finding.rule for finding in examine(case(*settings, **fields))]

    return names
