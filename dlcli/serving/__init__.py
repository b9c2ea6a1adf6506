"""Trained networks over HTTP: rows as JSON in, predictions out, without TensorFlow.

`run_server` serves runs until it is ended. Of a request, `application` checks key, size and time,
and routes it to one of the protocols; each of these turns its body into rows, which a `ServedModel`
checks and predicts, and the predictions into its own answer.
"""
