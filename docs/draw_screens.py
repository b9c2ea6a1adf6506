"""Take the screenshots of the documentation, and draw the live view of a training.

`python docs/draw_screens.py` takes all of them, and `python docs/draw_screens.py live` only one.
The screenshots need Chromium. They are taken twice, for light and for dark pages.
"""

from __future__ import annotations

import io
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path

from picture_theme import PICTURES
from PIL import Image
from rich.console import Console, RenderableType
from rich.text import Text

import dlcli
from dlcli.cli.event_log import LiveView, event_lines
from dlcli.config.config_file import load_config
from dlcli.pipeline.events import EpochEvent, Event
from dlcli.pipeline.train_run import train
from dlcli.reports.report_files import view_of
from dlcli.reports.views import render_text

ROOT = Path(__file__).parents[1]
COLORS = 128
"""Colors of a screenshot, so its file is small."""
CELL = """\
<style>
:root {{ color-scheme: light dark; background: light-dark(#fff, #111); }}
body {{ margin: 16px; color: light-dark(#222, #ddd); font: 14px/1.4 system-ui, sans-serif; }}
pre {{ background: light-dark(#f5f5f5, #212121); border: 1px solid light-dark(#ddd, #444);
  padding: 8px 12px; margin: 0 0 12px; font-size: 13px; }}
.dlcli-card img {{ max-width: 640px; }}
</style>
<pre>{code}</pre>{output}"""


def screenshot(address: str, name: str, width: int, height: int) -> None:
    """Save a page as pictures/<name>-light.png and pictures/<name>-dark.png."""
    for scheme, option in {"light": "1", "dark": "0"}.items():
        path = PICTURES / f"{name}-{scheme}.png"
        subprocess.run(
            [
                *("chromium", "--headless", "--no-sandbox", "--hide-scrollbars"),
                f"--blink-settings=preferredColorScheme={option}",
                "--force-device-scale-factor=1.5",
                f"--window-size={width},{height}",
                "--virtual-time-budget=20000",
                f"--screenshot={path}",
                address,
            ],
            check=True,
            stderr=subprocess.DEVNULL,
        )
        with Image.open(path) as picture:
            small = picture.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
        small.save(path, optimize=True)


@contextmanager
def served(run: Path) -> Iterator[str]:
    """Serve a run, and yield the server's address."""
    command = [sys.executable, "-m", "dlcli", "serve", str(run), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        address = re.search(r"http://\S+:\d+", server.stderr.readline())
        assert address is not None
        try:
            yield address[0]
        finally:
            server.send_signal(signal.SIGTERM)


def draw_form() -> None:
    """Take a screenshot of the web form of `dlcli serve`."""
    with tempfile.TemporaryDirectory() as folder:
        run = dlcli.train(str(ROOT / "configs" / "steering.yaml"), output=Path(folder, "steering"))
        with served(run.path) as address:
            screenshot(address, "form", 1000, 960)


def draw_card() -> None:
    """Take a screenshot of a run in a notebook."""
    code = 'run = dlcli.train("steering.yaml")\nrun'
    with tempfile.TemporaryDirectory() as folder:
        run = dlcli.train(str(ROOT / "configs" / "steering.yaml"), output=Path(folder, "steering"))
        page = Path(folder, "cell.html")
        page.write_text(CELL.format(code=code, output=run._repr_html_()), encoding="utf-8")
        screenshot(page.as_uri(), "card", 760, 860)


# The live view

COLUMNS, LINES = 84, 30
"""Size of the terminal."""
FRAMES, SECONDS, LAST_SECONDS = 20, 0.3, 6.0
"""Number of frames during training, how long each is shown, and the result after them."""
ANIMATED = """\
.frame {{ visibility: hidden; animation: {total}s step-end infinite; }}
{rules}
@media (prefers-reduced-motion: reduce) {{
  .frame {{ animation: none !important; }} #frame{last} {{ visibility: visible; }}
}}"""


def draw_live() -> None:
    """Animate a terminal that trains a config, as pictures/live.svg."""
    console = Console(file=io.StringIO(), width=COLUMNS, height=LINES, force_terminal=True)
    view = LiveView(console)
    lines: list[Text] = [Text("$ dlcli train configs/steering.yaml", style="bold"), Text()]
    frames: list[list[RenderableType]] = [[*lines]]

    def listen(event: Event) -> None:
        if isinstance(event, EpochEvent):
            view.add(event)
            if event.epoch % (event.of // FRAMES) == 0:
                frames.append([*lines, "", view.frame()])
            return
        lines.extend(labeled(event.kind, event_lines(event)))

    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        for name in ("configs", "data"):
            shutil.copytree(ROOT / name, name)
        config = load_config(Path("configs", "steering.yaml"))
        result = render_text(view_of(train(config, Path("runs", "steering"), listen)))
    frames.append([*lines, "", result])
    (PICTURES / "live.svg").write_text(animation([*map(terminal, frames)]), encoding="utf-8")


def labeled(label: str, texts: Iterable[str]) -> Iterator[Text]:
    """Yield the lines of an event with its label, as a terminal shows them."""
    for text in texts:
        for line in textwrap.wrap(text, COLUMNS - 10):
            yield Text(f"{label:<9} {line}")
            label = ""


def terminal(shown: Iterable[RenderableType]) -> str:
    """Return the last lines of a terminal as an SVG without a frame and fonts from elsewhere."""
    console = Console(file=io.StringIO(), record=True, width=COLUMNS, force_terminal=True)
    console.print(*shown, sep="\n", highlight=False)
    text = console.export_text(styles=True).splitlines()[-LINES:]
    console = Console(file=io.StringIO(), record=True, width=COLUMNS, force_terminal=True)
    for line in text + [""] * (LINES - len(text)):
        console.print(Text.from_ansi(line), highlight=False)
    return console.export_svg(title="dlcli", unique_id="t")


def animation(frames: Sequence[str]) -> str:
    """Return one SVG that shows the contents of others of the same size one after the other."""
    total = SECONDS * (len(frames) - 1) + LAST_SECONDS
    groups, rules = [], []
    for at, frame in enumerate(frames):
        begin, end = (100 * SECONDS * each / total for each in (at, at + 1))
        steps = f"0% {{ visibility: hidden }} {begin:.2f}% {{ visibility: visible }}"
        if at < len(frames) - 1:
            steps += f" {end:.2f}% {{ visibility: hidden }}"
        rules.append(f"@keyframes f{at} {{ {steps} }} #frame{at} {{ animation-name: f{at} }}")
        rules += [f"#frame{at} {rule}" for rule in re.findall(r"\.t-r\d+ \{.*?\}", frame)]
        texts = re.findall(r'<text class="t-r\d+" [^>]*>[^<]*\S[^<]*</text>', frame)
        groups.append(f'<g class="frame" id="frame{at}">{"".join(texts)}</g>')
    style = ANIMATED.format(total=f"{total:.1f}", rules="\n".join(rules), last=len(frames) - 1)
    start, _, end = re.split(r'(?<=<g class="t-matrix">)(.*?)(?=</g>)', frames[-1], flags=re.DOTALL)
    start = re.sub(r"@font-face \{.*?\}|\.t-r\d+ \{.*?\}", "", start, flags=re.DOTALL)
    start = re.sub(r"<clipPath id=\"t-line.*?</clipPath>", "", start, flags=re.DOTALL)
    svg = start.replace("</style>", f"{style}</style>") + "\n".join(groups) + end
    return re.sub(r' clip-path="url\(#t-line-\d+\)"|(?<=\n) +|\n(?=\n)', "", svg)


SCREENS = {"form": draw_form, "card": draw_card, "live": draw_live}

if __name__ == "__main__":
    for screen in sys.argv[1:] or SCREENS:
        SCREENS[screen]()
