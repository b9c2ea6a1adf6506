"""Hooks of mkdocs.yml: languages, formulas without JavaScript, and files outside docs/."""

from __future__ import annotations

import copy
import html
import json
import posixpath
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation, Section
from mkdocs.structure.pages import Page

from dlcli import __version__

DOCS = Path(__file__).parent
ROOT = DOCS.parent
CHINESE = "zh-CN/"
"""The folder of the pages in Chinese."""
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^\s)#]+)(?=[)#])")
FORMULA = re.compile(
    r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>([.,;:)。，；：、）]*)', re.DOTALL
)
"""A formula, with the punctuation that must not begin the next line."""
FUNCTION = re.compile(r"<mi>(log|ln|exp)</mi>")
"""Functions, which as identifiers would stand too close to what is before and after them."""
OTHER_LANGUAGE = re.compile(r"^(English \| |\[English\]).*\n\n", re.MULTILINE)
"""The line that leads to a page in the other language, which the site's header does."""
PICTURE = re.compile(
    r'<picture>\s*<source media="\(prefers-color-scheme: dark\)" srcset="(.*?)">'
    r'\s*<img alt="(.*?)" src="(.*?)">\s*</picture>',
    re.DOTALL,
)
"""A picture for light and for dark pages, as GitHub reads it."""
LITERAL_BLOCK = "<p>::</p>\n"
"""The mark before indented code in docstrings, which Markdown does not read."""
CODE = re.compile(r"<code>[^<]*</code>|<h\d[^<]*>[^<]*")
"""Code in a sentence or a table, and headings, which contain names."""
LONG_NAME = re.compile(r"[\w.,/:@\[\]()-]{22,}")
"""A name that is too long for a column of a table on a phone."""
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*(?![^<]*>)")
"""An option of a command, which browsers break after its hyphens."""
PERCENT = re.compile(r"<pre.*?</pre>|(?<=\d) %", re.DOTALL)
COLUMNS = re.compile(r'<span (?=id="__line-[^>]*>(?:[^\n]*?[^\s>] {6,}\S){2})')
"""The beginning of a line of a table in a code block: columns with much space between them."""
LIKE_PROMPT = 'class="gp gp-VirtualEnv"'
"""What Pygments takes for the prompt of an environment: output in parentheses."""
SVG = re.compile(r'<img (?=[^>]*src="([^"]*pictures/[^"]*\.svg)")')


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Show the version, and the repository if the package names one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    config.repo_url = project.get("urls", {}).get("Repository")
    config.repo_name = "dlcli"
    config.extra["version_name"] = __version__
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files outside docs/ that are in the navigation, or that pages link to."""
    for path in sorted(DOCS.rglob("*.ipynb")):
        files.append(File.generated(config, page_of(path), abs_src_path=str(path)))
    in_docs = [file.src_uri for file in files.documentation_pages()]
    waiting = [ROOT / uri for uri in pages_of(config.nav) if uri not in in_docs]
    for uri in in_docs:
        waiting += linked_outside(DOCS / uri) if (DOCS / uri).is_file() else []
    while waiting:
        path = waiting.pop()
        uri = uri_of(path)
        if files.get_file_from_path(uri) is None:
            files.append(File.generated(config, uri, abs_src_path=str(path)))
            waiting += linked_outside(path) if path.suffix == ".md" else []
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to where the site has their targets, and read Markdown in `<details>`.

    A picture for light and dark pages follows the site's own switch.
    """
    path = Path(page.file.abs_src_path or "")
    if posixpath.basename(path) == "README.md" and path.is_relative_to(DOCS):
        page.meta["hide"] = ["navigation", "toc"]  # the first page of a language
    if config.repo_url:
        page.edit_url = f"{config.repo_url}/edit/main/{path.relative_to(ROOT).as_posix()}"
    if path.suffix == ".ipynb":
        markdown = markdown_of(path)
    here = posixpath.dirname(page.file.src_uri) or "."

    def in_site(link: re.Match[str]) -> str:
        return posixpath.relpath(uri_of(target_of(link[1], path)), here)

    markdown = OTHER_LANGUAGE.sub("", markdown)
    markdown = PICTURE.sub(r"![\2](\3#only-light)![\2](\1#only-dark)", markdown)
    return LINK.sub(in_site, markdown).replace("<details>", '<details markdown="1">')


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Write formulas as MathML, which needs no JavaScript, and break lines where people would."""

    def as_mathml(formula: re.Match[str]) -> str:
        tag, text = formula[1], html.unescape(formula[2])
        mathml = convert(text, display="block" if tag == "div" else "inline")
        mathml = FUNCTION.sub(r'<mo lspace="0.17em" rspace="0.17em">\1</mo>', mathml)
        return f'<{tag} class="formula">{mathml}{formula[3]}</{tag}>'

    def with_width(picture: re.Match[str]) -> str:
        # The stylesheet keeps wide pictures readable on phones.
        file = posixpath.normpath(posixpath.join(page.file.dest_uri, "..", picture[1]))
        width = re.search(r'viewBox="0 0 ([\d.]+)', (DOCS / file).read_text(encoding="utf-8"))
        return f'<img style="--width: {width[1]}px" ' if width else picture[0]

    content = content.replace(LITERAL_BLOCK, "")
    content = CODE.sub(lambda code: breakable(code[0]), content)
    content = OPTION.sub(r'<span class="option">\g<0></span>', content)
    content = PERCENT.sub(lambda part: "\u00a0%" if part[0] == " %" else part[0], content)
    content = COLUMNS.sub('<span class="columns" ', content).replace(LIKE_PROMPT, 'class="go"')
    content = SVG.sub(with_width, content)
    return FORMULA.sub(as_mathml, content)


def breakable(code: str) -> str:
    """Let long names break between their words, and write pipes as GitHub does.

    Python-Markdown leaves the backslash before a pipe in the code of a table.
    """
    code = code.replace("\\|", "|")
    tag, end, text = code.partition(">")
    text = LONG_NAME.sub(lambda name: re.sub(r"(?<=[_.,/:@])(?=\w)", "<wbr>", name[0]), text)
    return f"{tag}{end}{text}"


def on_page_context(
    context: dict[str, Any], page: Page, config: MkDocsConfig, nav: Navigation
) -> dict[str, Any]:
    """Give a page the navigation, the words and the neighbors of its language."""
    is_chinese = in_chinese(page)
    config.theme["language"] = "zh" if is_chinese else "en"
    config.extra["alternate"] = [
        {"name": "English", "lang": "en", "link": counterpart(page, nav, chinese=False)},
        {"name": "中文", "lang": "zh", "link": counterpart(page, nav, chinese=True)},
    ]
    context["nav"] = in_language(nav, chinese=is_chinese)
    if page.previous_page and in_chinese(page.previous_page) != is_chinese:
        page.previous_page = None
    if page.next_page and in_chinese(page.next_page) != is_chinese:
        page.next_page = None
    return context


def on_template_context(
    context: dict[str, Any], template_name: str, config: MkDocsConfig
) -> dict[str, Any]:
    """Give the page of a wrong address the navigation in English."""
    config.theme["language"] = "en"
    context["nav"] = in_language(context["nav"], chinese=False)
    return context


def in_language(nav: Navigation, *, chinese: bool) -> Navigation:
    """Return the part of the navigation that is in a language."""
    [part] = [item for item in nav.items if isinstance(item, Section) and item.title == "中文"]
    for item in part.children:
        item.parent = None  # their section is the whole navigation
    shown = copy.copy(nav)
    shown.items = part.children if chinese else [item for item in nav.items if item is not part]
    shown.homepage = next(page for page in nav.pages if in_chinese(page) == chinese)
    return shown


def in_chinese(page: Page) -> bool:
    """Whether a page is in Chinese."""
    return page.file.src_uri.startswith(CHINESE)


def counterpart(page: Page, nav: Navigation, *, chinese: bool) -> str:
    """Return the URL of a page in a language, or else of the language's first page."""
    name = page.file.src_uri.removeprefix(CHINESE)
    pages = {other.file.src_uri: other for other in nav.pages if in_chinese(other) == chinese}
    return pages.get(f"{CHINESE}{name}" if chinese else name, next(iter(pages.values()))).url


def pages_of(nav: object) -> Iterator[str]:
    """Yield the pages that a part of the navigation names."""
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict | list):
        for part in nav.values() if isinstance(nav, dict) else nav:
            yield from pages_of(part)


def linked_outside(page: Path) -> Iterator[Path]:
    """Yield the files outside docs/ that a page links to."""
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        target = target_of(link, page)
        if not target.is_relative_to(DOCS) and target.is_file():
            yield target


def target_of(link: str, page: Path) -> Path:
    """Return the file that a link of a page leads to; instead of the README, the start page."""
    target = (page.parent / link).resolve()
    return DOCS / "README.md" if target == ROOT / "README.md" else target


def page_of(notebook: Path) -> str:
    """Return the path of the page of a notebook."""
    return notebook.relative_to(DOCS).with_suffix(".md").as_posix()


def markdown_of(notebook: Path) -> str:
    """Return a notebook as Markdown: its text, code and stored outputs."""
    parts = []
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", ()):
            data = output.get("data", {"text/plain": output.get("text", "")})
            if "text/html" in data:
                parts.append(f'<div class="notebook-output">{"".join(data["text/html"])}</div>')
            else:
                parts.append(f"```text\n{''.join(data['text/plain'])}\n```")
    name = notebook.name
    parts.append(f'<p><a href="../{name}" download>Download this notebook</a></p>')
    return "\n\n".join(parts)


def uri_of(path: Path) -> str:
    """Return the path of a file in the site: that in docs/, or else in the project."""
    if path.suffix == ".ipynb":
        return page_of(path)
    return path.relative_to(DOCS if path.is_relative_to(DOCS) else ROOT).as_posix()
