"""Pages for people: what the server answers, and a form. They load nothing from elsewhere."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

from starlette.responses import HTMLResponse, Response

from dlcli.reports.charts import style_variables
from dlcli.reports.report_files import policy, render_template, template_text
from dlcli.serving.openapi import STATUSES
from dlcli.serving.requests import Limits
from dlcli.serving.served_model import ServedModel

_PACKAGE = "dlcli.serving"
_MOST_OPTIONS = 30
"""Categories that a field lists; for more, it is a text with suggestions."""


def docs_page(
    models: Mapping[str, ServedModel], limits: Limits, address: str, *, has_key: bool
) -> Response:
    """Return the page that documents the server.

    Args:
        models: what is served, by name.
        limits: what a request may take.
        address: host and port, as the reader's browser named them.
        has_key: whether clients must send a key.
    """
    commands = {name: _curl(model, address, has_key=has_key) for name, model in models.items()}
    return _page(
        "docs.html.j2",
        models=models.values(),
        commands=commands,
        statuses=STATUSES,
        limits=limits,
        has_key=has_key,
    )


def form_page(models: Mapping[str, ServedModel], model: ServedModel) -> Response:
    """Return the form of a model."""
    columns = [
        {"name": each.name, "type": each.types[0], "typical": each.typical} for each in model.inputs
    ]
    return _page(
        "form.html.j2",
        template_text("form.js", _PACKAGE),
        models=models,
        model=model,
        most_options=_MOST_OPTIONS,
        settings={"path": f"/form/{model.name}", "columns": columns},
    )


def _curl(model: ServedModel, address: str, *, has_key: bool) -> str:
    """Return a command that predicts a typical row, for a shell."""
    row = json.dumps([model.typical_row], ensure_ascii=False, indent=1)
    key = ["-H", "X-API-Key: KEY"] if has_key else []
    return shlex.join(["curl", f"{address}/predict/{model.name}", *key, "-d", row])


def _page(template: str, script: str = "", **values: object) -> Response:
    style = style_variables() + template_text("pages.css", _PACKAGE)
    text = render_template(template, _PACKAGE, style=style, script=script, **values)
    allowed = policy(scripts=[script], styles=[style])
    headers = {
        "Content-Security-Policy": f"{allowed}; connect-src 'self'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return HTMLResponse(text, headers=headers)
