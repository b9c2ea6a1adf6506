"""What a rule finds in a run, in words, and what to try about it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

Setting = tuple[str, str]
"""A key's path, as `--set` takes it, and what to set it to, as YAML."""


@dataclass(frozen=True)
class Patch:
    """A change of the config that may help."""

    name: str
    """What it is called in a folder's name: `dropout`."""
    why: str
    """What it does, on one line."""
    settings: tuple[Setting, ...]
    """What it sets; at least one key."""
    metric: str | None = None
    """What shows whether it has helped; the run's usual metric, if left out."""

    @property
    def overrides(self) -> tuple[str, ...]:
        """The settings, as `load_config` takes them."""
        return tuple(f"{path}={value}" for path, value in self.settings)

    def command(self, config: Path) -> str:
        """The command that trains a config with it, as one pastes it into a shell.

        Args:
            config: the config's file; of a run its `resolved.yaml`.
        """
        settings = (word for override in self.overrides for word in ("--set", override))
        return shlex.join(["dlcli", "train", str(config), *settings])


@dataclass(frozen=True)
class Finding:
    """What a rule found."""

    rule: str
    """The rule's name: `overfitting`."""
    saw: str
    """The evidence, with its numbers."""
    means: str
    """What that usually means, in plain words."""
    patches: tuple[Patch, ...]
    """What to try, the most promising first; none where a config can't help."""
    source: str
    """Where that is known from, with the year."""


def number(value: float) -> str:
    """A number to three significant digits."""
    return f"{float(f'{value:.3g}'):.12g}"


def percent(share: float) -> str:
    """A share in per cent."""
    return f"{number(100 * share)} %"
