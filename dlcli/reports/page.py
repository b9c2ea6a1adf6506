"""A page in one file: no network, no script but its own, whatever its texts hold."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from dlcli.reports.blocks import Page
from dlcli.reports.theme import settings, style_variables

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def to_html(page: Page) -> str:
    """Lays a page out.

    Nothing is loaded: scripts and styles stand in the page and are allowed by their digests alone,
    and Vega interprets its expressions, so that not even it needs `eval`.
    """
    script, style = _read("page.js"), style_variables() + _read("page.css")
    vega = vega_script()
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            page=page,
            policy=policy(scripts=[vega, script], styles=[style]),
            vega=vega,
            script=script,
            style=style,
            settings=settings(),
        )
    )


def policy(scripts: list[str], styles: list[str]) -> str:
    """The content security policy that allows these scripts and styles, and nothing else.

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
    """Vega, Vega-Lite and Vega-Embed, as vl-convert brings them: some 900 KB.

    Nothing in it ends its element: `</script` and `<!--` could only stand in texts and patterns,
    where a backslash before a sign that needs none changes nothing.
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
    """JSON in which no text can end the element that it stands in."""
    from markupsafe import Markup

    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def _read(name: str) -> str:
    return files("dlcli.reports").joinpath("templates", name).read_text("utf-8")
