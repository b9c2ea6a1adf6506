"""Train a config without a linear model and a report, which take as long as a small example.

`python -m tests.project.plain_training CONFIG OUTPUT OVERRIDE ...`
"""

from __future__ import annotations

import sys
from pathlib import Path

from dlcli.config.config_file import load_config
from dlcli.pipeline import baselines
from dlcli.pipeline.train_run import train

if __name__ == "__main__":
    config, output, *overrides = sys.argv[1:]
    baselines.is_affordable = lambda network: False
    train(load_config(Path(config), overrides), Path(output))
