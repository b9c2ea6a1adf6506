"""What is predicted, and everything that follows from it: one class for each kind of target."""

from dlcli.tasks.classification import Binary, Multiclass, classification
from dlcli.tasks.inference import AnyTask, infer_task
from dlcli.tasks.multilabel import Multilabel
from dlcli.tasks.regression import Counts, Regression
from dlcli.tasks.task import DecodedRows, Outputs, OutputUnit, Task, Values
