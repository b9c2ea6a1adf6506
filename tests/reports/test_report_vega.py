"""The code of Vega in pages is made once for each version, and kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
from importlib.metadata import version
from pathlib import Path

import pytest
import vl_convert

from dlcli.reports.report_files import vega_script

BUNDLE = 'a("</script>"); b("<!--");\r\n"é"'
SCRIPT = 'a("<\\/script>"); b("<\\!--");\r\n"é"'
NAME = f"vega-{version('vl-convert-python')}.js"


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """The file in a cache that is empty."""
    variable = "LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME"
    monkeypatch.setenv(variable, str(tmp_path / "caches"))
    return tmp_path / "caches" / "dlcli" / NAME


@pytest.fixture
def requests(monkeypatch):
    """The requests to vl-convert, which answers with a short bundle."""
    found = []

    def javascript_bundle(request):
        found.append(request)
        return BUNDLE

    monkeypatch.setattr(vl_convert, "javascript_bundle", javascript_bundle)
    return found


def script():
    """Return it as a new process does."""
    vega_script.cache_clear()
    try:
        return vega_script()
    finally:
        vega_script.cache_clear()


def test_it_is_made_once_and_nothing_in_it_ends_its_element(cached, requests):
    assert [script(), script()] == [SCRIPT, SCRIPT]
    assert requests == ["window.vegaEmbed = vegaEmbed;"]
    assert [each.name for each in cached.parent.iterdir()] == [NAME]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content.replace(b"a(", b"c("),
        lambda content: content.partition(b"\n")[2],
        lambda content: b"\xff" + content,
        lambda content: b"",
    ],
    ids=["cut off", "changed", "without a digest", "no text", "empty"],
)
def test_a_damaged_file_is_replaced(cached, requests, damage):
    script()
    whole = cached.read_bytes()
    cached.write_bytes(damage(whole))
    assert script() == SCRIPT
    assert cached.read_bytes() == whole
    assert len(requests) == 2


def test_the_bundle_of_another_request_is_replaced(cached, requests):
    script()
    other = hashlib.sha256(f"other\n{BUNDLE}".encode()).hexdigest()
    cached.write_bytes(f"// {other}\n{BUNDLE}".encode())
    script()
    assert len(requests) == 2


def test_without_a_folder_for_it_it_is_made_each_time(cached, requests):
    cached.parent.parent.write_text("")  # a file, where the folder would be
    assert [script(), script()] == [SCRIPT, SCRIPT]
    assert len(requests) == 2


@pytest.mark.skipif(os.name == "nt", reason="variables of Unix")
@pytest.mark.parametrize("given", [None, "", "relative"])
def test_without_an_absolute_folder_the_cache_is_in_the_home_folder(
    cached, requests, given, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME")
    if given is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", given)
    script()
    assert [each.name for each in Path("home").rglob(NAME)] == [NAME]
    assert not Path("relative").exists()
