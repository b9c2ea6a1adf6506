"""Prediction tasks: one class for each kind of target, with everything that follows from it."""

from dlcli.tasks.classification import Binary, Multiclass, Multilabel, classification
from dlcli.tasks.inference import AnyTask, drop_missing_targets, infer_task, refuse_constant
from dlcli.tasks.regression import Counts, Regression
from dlcli.tasks.stored_predictions import StoredPredictions
from dlcli.tasks.task import DecodedRows, Outputs, OutputUnit, Task, Values
