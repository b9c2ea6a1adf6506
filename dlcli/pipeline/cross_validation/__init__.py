"""Cross-validation: one config trained without each fold in turn, and judged by it."""

from dlcli.pipeline.cross_validation.plan import Plan
from dlcli.pipeline.cross_validation.story import cross_validate, resume_cross_validation

__all__ = ["Plan", "cross_validate", "resume_cross_validation"]
