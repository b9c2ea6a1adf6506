"""Views as self-contained HTML pages, safe to open whatever names and values they hold."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from dlcli.reports.theme import settings, style_variables
from dlcli.reports.views import View

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def to_html(view: View) -> str:
    """Render the page of a view.

    It works offline: scripts and styles are part of it and are allowed by their digests alone, and
    Vega interprets its expressions, so that not even it needs `eval`.
    """
    script, style = _read("page.js"), style_variables() + _read("page.css")
    vega = vega_script()
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            page=view,
            sections=view.sections(),
            policy=policy(scripts=[vega, script], styles=[style]),
            vega=vega,
            script=script,
            style=style,
            settings=settings(),
        )
    )


def policy(scripts: list[str], styles: list[str]) -> str:
    """Return the content security policy that allows these scripts and styles, and nothing else.

    https://www.w3.org/TR/CSP3/
    """
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {_digests(scripts)}",
            f"style-src {_digests(styles)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _digests(texts: list[str]) -> str:
    return " ".join(f"'sha256-{_digest(text)}'" for text in texts)


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def vega_script() -> str:
    """Return the code of Vega, Vega-Lite and Vega-Embed that vl-convert ships: some 900 KB.

    Nothing in it may end its element: `</script` and `<!--` could only occur in strings and regular
    expressions, where a backslash before a character that needs none changes nothing.
    """
    import vl_convert

    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("dlcli.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["json"] = _embedded
    return environment


def _embedded(value: object) -> Markup:
    """Return JSON in which no text can end the element that it is in."""
    from markupsafe import Markup

    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def _read(name: str) -> str:
    return files("dlcli.reports").joinpath("templates", name).read_text("utf-8")
