"""Topics of `dlcli help`: exit codes and shell completion."""

from __future__ import annotations

from collections.abc import Mapping

EXIT_CODES: Mapping[str, str] = {
    "0": "success",
    "1": "unexpected failure",
    "2": "wrong usage or invalid config",
    "3": "invalid data, for example a missing column",
    "4": "training diverged, ran out of memory, lost a worker or filled the disk",
    "5": "a run folder is missing, unfinished or damaged",
    "6": "a quality gate failed, new rows differ too much (drift), or a run was not reproduced",
    "7": "the model can't be exported, or the export gives different predictions",
    "130, 143, 129": "ended by SIGINT (Ctrl-C), SIGTERM or SIGHUP",
}
"""The meaning of each exit code."""
COMPLETION = """\
To complete commands, options and paths with the Tab key, add this line to the start-up file
of your shell:

  bash (~/.bashrc)                   eval "$(_DLCLI_COMPLETE=bash_source dlcli)"
  zsh (~/.zshrc)                     eval "$(_DLCLI_COMPLETE=zsh_source dlcli)"
  fish (~/.config/fish/config.fish)  _DLCLI_COMPLETE=fish_source dlcli | source
"""
TOPICS = ("completion", "exit-codes", "glossary")
