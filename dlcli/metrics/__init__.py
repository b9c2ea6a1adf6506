"""The metrics, computed in float64, and their confidence intervals.

Each metric is a record in `definitions.py`. The metric of given predictions is a `Statistic`, which
is a function of the row weights. `statistics_of` returns the statistics of given rows by name, and
`metric_values` returns their values for JSON. A resample is a set of integer weights, so confidence
intervals use the same functions.

The definitions, including row weights, are the same as in `sklearn.metrics`
(https://scikit-learn.org/stable/modules/model_evaluation.html), with one exception: an undefined
metric (one with a denominator of zero or a non-finite result) is `None`, not a replacement value. A
row with weight 0 has the same effect as a missing row. Without rows, every metric is `None`.
"""
