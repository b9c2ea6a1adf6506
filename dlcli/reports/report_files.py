"""Report files: self-contained HTML pages, safe for any content, and pictures."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcli.errors import by_caller, require_packages
from dlcli.glossary import explanation_of
from dlcli.pipeline.events import Listener, ReportEvent, WarningEvent
from dlcli.reports import formatting as fmt
from dlcli.reports.charts import LIGHT, ON_BOTH, settings, style_variables
from dlcli.reports.report_parts import RunLog
from dlcli.reports.training_report import curve_charts, training_view
from dlcli.reports.views import ChartBlock, View
from dlcli.runs.run import Run
from dlcli.runs.run_folder import write_page
from dlcli.safe_files import open_new_file, refuse_existing_file, write_atomically

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

LONG_SECONDS = 60.0
"""Duration of a training from which the few seconds for the report don't matter."""
_PICTURE_WIDTH = 420
"""Width of a chart in a picture, in pixels."""
_VARIABLE = re.compile(r"var\(--([\w-]+)\)")
_DATE = re.compile(r"\b\d{4}-\d\d-\d\d\b")
_EVERYDAY_WORDS = ("row", "rows", "class", "label", "missing", "train", "value")
"""Words in tables that need no explanation."""
_REQUEST = "window.vegaEmbed = vegaEmbed;"
"""The statement at the end of Vega's code that pages need."""


def view_of(run: Run) -> View:
    """Show a run of any kind: a training, a cross-validation or a search.

    Raises:
        RunError: if a file of the run is damaged; the view's sections raise it, too.
    """
    if run.kind == "cv":
        from dlcli.reports.cross_validation_report import cross_validation_view

        return cross_validation_view(run)
    if run.kind == "tune":
        from dlcli.reports.search_report import search_view

        return search_view(run)
    return training_view(run)


def render_report(run: Run) -> str:
    """Create the HTML report of a run of any kind.

    Raises:
        RunError: if a file of the run is damaged.
    """
    return to_html(view_of(run))


def write_report(run: Run, output: Path | None = None) -> Path:
    """Write the HTML report of a run: to its folder, replacing an earlier one, or to a new file.

    Returns:
        The path of the page.

    Raises:
        RunError: if a file of the run is damaged, or the page can't be stored.
        UsageError: if the output file exists or can't be created.
    """
    if output is None:
        return write_page(run, render_report(run))
    refuse_existing_file(output)
    page = render_report(run)
    with open_new_file(output) as stream:
        stream.write(page.encode())
    return output


def write_report_if_cheap(run: Run, listener: Listener) -> None:
    """Write the HTML report of a run that has just been trained, if training took much longer.

    The run is already complete, so a failure is only a warning.

    Args:
        run: the run.
        listener: receives the path of the page, or a warning.
    """
    try:
        trained = run.parse_log(RunLog).trained
        if trained is None or trained.seconds is None or trained.seconds < LONG_SECONDS:
            return
        listener(ReportEvent(page=str(write_report(run))))
    except Exception as error:  # must not fail a long training
        report = by_caller(
            f"dlcli report {run.path}", f"dlcli.open_run({str(run.path)!r}).report()"
        )
        retry = f"the run is complete; try again with: {report}"
        reason = "out of memory" if isinstance(error, MemoryError) else error
        message = f"the report could not be created: {reason}; {retry}"
        listener(WarningEvent(message=message))


def training_curves(run: Run, *, is_transparent: bool = False) -> tuple[bytes, str] | None:
    """Draw the loss and the first metric of a training.

    Args:
        run: the run.
        is_transparent: whether the picture is for light and dark pages.

    Returns:
        A PNG and its description; `None` without a finished epoch.

    Raises:
        RunError: if a file of the run is damaged.
    """
    trained = run.parse_log(RunLog).trained
    charts = curve_charts(run.history, trained.best_epoch if trained else None)[:2]
    if not charts:
        return None
    title = fmt.shorten(run.path.resolve().name)
    picture = to_png(charts, title, is_transparent=is_transparent)
    return picture, " ".join(chart.description for chart in charts)


def to_card(view: View, picture: tuple[bytes, str] | None = None) -> str:
    """Render a view for a notebook, with the content of the terminal and no scripts.

    Args:
        view: the view of a result.
        picture: a PNG to show below the view, and its description.
    """
    content, description = picture or (b"", "")
    picture_text = base64.b64encode(content).decode("ascii")
    return render_template("card.html.j2", card=view, picture=picture_text, description=description)


def to_html(view: View) -> str:
    """Render the page of a view.

    It works offline: scripts and styles are inside and allowed by their digests alone. Vega
    interprets its expressions, so the page needs no `eval`.
    """
    script, style = template_text("page.js"), style_variables() + template_text("page.css")
    vega = vega_script()
    return render_template(
        "page.html.j2",
        page=view,
        sections=[section for section in view.sections() if section.blocks],
        policy=policy(scripts=[vega, script], styles=[style]),
        vega=vega,
        script=script,
        style=style,
        settings=settings(),
    )


def policy(scripts: list[str], styles: list[str]) -> str:
    """Return the content security policy that allows only these scripts and styles.

    https://www.w3.org/TR/CSP3/
    """

    def digests(texts: list[str]) -> str:
        hashes = (hashlib.sha256(text.encode()).digest() for text in texts)
        return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in hashes)

    return (
        f"default-src 'none'; script-src {digests(scripts)}; style-src {digests(styles)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def render_template(name: str, package: str = "dlcli.reports", **values: object) -> str:
    """Render a page template of a package; values are escaped."""
    return _templates(package).get_template(name).render(values)


@cache
def _templates(package: str) -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["json"] = _embedded
    environment.filters["explanation"] = _tooltip
    environment.filters["unbroken"] = unbroken
    environment.filters["shorten"] = partial(fmt.shorten, most=fmt.LONGEST_TEXT)
    return environment


def unbroken(text: str) -> Markup:
    """Prevent line breaks in dates, and between a number and its percent sign."""
    from markupsafe import Markup, escape

    escaped = str(escape(re.sub(r"(?<=\d) %", "\N{NO-BREAK SPACE}%", text)))
    return Markup(_DATE.sub(r'<span class="whole">\g<0></span>', escaped))  # noqa: S704


def _tooltip(text: str) -> str:
    """Return the explanation of a term in the glossary; empty for everyday words."""
    return "" if text in _EVERYDAY_WORDS else explanation_of(text)


def _embedded(value: object) -> Markup:
    """Return JSON in which no text can close the surrounding element."""
    from markupsafe import Markup

    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


@cache
def template_text(name: str, package: str = "dlcli.reports") -> str:
    """Return a script or style sheet of a package's pages."""
    return files(package).joinpath("templates", name).read_text("utf-8")


def to_png(charts: Sequence[ChartBlock], title: str, *, is_transparent: bool = False) -> bytes:
    """Draw charts side by side on white, or without a background for light and dark pages.

    Args:
        charts: at least one.
        title: the title above the charts.
        is_transparent: whether to omit the background.
    """
    require_packages("drawing charts", None, "vl_convert")
    import vl_convert

    colors, background = (ON_BOTH, "transparent") if is_transparent else (LIGHT, "white")
    look = {**settings(), "font": "sans-serif", "background": background, "autosize": "pad"}
    whole = {
        "title": {"text": title, "anchor": "start", "offset": 16},
        "hconcat": [_standing_alone(chart, colors) for chart in charts],
        "resolve": {"legend": {"color": "independent"}},
        "config": _colored(look, colors),
        "padding": 12,
    }
    picture: bytes = vl_convert.vegalite_to_png(whole, scale=2)
    return picture


def _standing_alone(chart: ChartBlock, colors: Mapping[str, str]) -> dict[str, Any]:
    """Return a chart of fixed width that contains its rows and a legend."""
    spec = _colored(chart.spec, colors)
    datasets = spec.pop("datasets")
    for layer in spec["layer"]:
        layer["data"] = {"values": datasets[layer["data"]["name"]]}
        if "color" in layer["encoding"]:
            legend = {"orient": "top", "title": None, "symbolType": "circle"}
            layer["encoding"]["color"]["legend"] = legend
    return {**spec, "title": chart.title, "width": _PICTURE_WIDTH}


def _colored(part: Mapping[str, Any], colors: Mapping[str, str]) -> dict[str, Any]:
    """Return a copy of a specification with colors instead of variables."""
    text = _VARIABLE.sub(lambda found: colors[found[1]], json.dumps(part))
    copy: dict[str, Any] = json.loads(text)
    return copy


# The code of Vega, which lets charts work offline


@cache
def vega_script() -> str:
    """Return the code of Vega, Vega-Lite and Vega-Embed that vl-convert ships: about 900 KB.

    It must not close the script element. `</script` and `<!--` can occur only in strings and
    regular expressions, where an added backslash has no effect.
    """
    return _bundle().replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _bundle() -> str:
    """Return vl-convert's bundle, from the user's cache if possible.

    Creating it takes about as long as the rest of a small page. A cached file is replaced if its
    digest differs, because it is damaged or from another request.
    """
    require_packages("a report with charts", None, "vl_convert")
    import vl_convert

    path = _cache_folder() / f"vega-{version('vl-convert-python')}.js"
    with suppress(OSError, UnicodeDecodeError):
        content = path.read_bytes().decode()
        bundle = content.partition("\n")[2]
        if content == _with_digest(bundle):
            return bundle
    bundle = vl_convert.javascript_bundle(_REQUEST)
    with suppress(OSError):  # the cache only saves time
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(path, is_locked=False) as temporary:
            temporary.write_bytes(_with_digest(bundle).encode())
    return bundle


def _with_digest(bundle: str) -> str:
    """Return a bundle as the cache stores it, below a digest of the bundle and the request."""
    digest = hashlib.sha256(f"{_REQUEST}\n{bundle}".encode()).hexdigest()
    return f"// {digest}\n{bundle}"


def _cache_folder() -> Path:
    """Return the user's cache folder; on Linux by the XDG Base Directory Specification."""
    given = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME", "")
    if os.path.isabs(given):
        return Path(given, "dlcli")
    caches = "~/Library/Caches" if sys.platform == "darwin" else "~/.cache"
    return Path(os.path.expanduser(caches), "dlcli")
