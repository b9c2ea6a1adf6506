"""The finding of a rule: the evidence, its meaning, and changes of the config to try."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from dlcli.config import Setting


@dataclass(frozen=True)
class Patch:
    """A change of the config that may help."""

    name: str
    """Short name, also for a folder: `dropout`."""
    why: str
    """The effect, on one line."""
    settings: tuple[Setting, ...]
    """Paths and values to set; at least one."""
    metric: str | None = None
    """The metric that shows whether the patch helped; `None`: the run's usual one."""

    @property
    def overrides(self) -> tuple[str, ...]:
        """The settings, as `load_config` takes them."""
        return tuple(f"{path}={value}" for path, value in self.settings)

    @property
    def options(self) -> str:
        """The settings as command-line options, quoted for a shell."""
        return shlex.join(word for override in self.overrides for word in ("--set", override))

    def command(self, config: Path) -> str:
        """Return the command that trains a config with this patch, quoted for a shell.

        Args:
            config: the config's file; for a run its `resolved.yaml`.
        """
        return f"{shlex.join(['dlcli', 'train', str(config)])} {self.options}"


@dataclass(frozen=True)
class Finding:
    """The result of a rule that applies."""

    rule: str
    """Name of the rule: `overfitting`."""
    observation: str
    """The evidence, with its numbers."""
    meaning: str
    """What the evidence usually means."""
    patches: tuple[Patch, ...]
    """What to try, the most promising first; empty where no config can help."""
    source: str
    """The literature behind the rule, with the year."""


def number(value: float) -> str:
    """Format a number to three significant digits."""
    return f"{float(f'{value:.3g}'):.12g}"


def percent(share: float) -> str:
    """Format a share as a percentage."""
    return f"{number(100 * share)} %"
