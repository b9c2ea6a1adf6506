"""Every metric once, exact and in float64, and its uncertainty.

Each metric is a record of `definitions.py`. A metric of given predictions is a `Statistic`: a
function of the row weights. `statistics_of` returns those of given rows by name, `metric_values`
their values as JSON can hold them. As a resample is a set of integer weights, confidence intervals
use the same functions.

Definitions, row weights included, are those of scikit-learn's `sklearn.metrics`
(https://scikit-learn.org/stable/modules/model_evaluation.html), with one difference: where a
metric is undefined (a denominator of zero, a result that is not finite) it is `None`, not a number
chosen in its place. A row of weight zero counts as if it were not there; without any rows every
metric is `None`.
"""
