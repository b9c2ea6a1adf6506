"""The JSON Schema of configs, made once for all tests."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from dlcli.config.config_schema import Config

SCHEMA: dict[str, Any] = Config.model_json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
