"""Cross-validation: one config trained without each fold in turn, and judged by it."""

from dlcli.cross_validation.plan import Plan
from dlcli.cross_validation.story import cross_validate, resume

__all__ = ["Plan", "cross_validate", "resume"]
