"""Trained networks over HTTP: rows as JSON in, predictions out, without TensorFlow.

`run_server` serves runs until it is stopped. For each request, `application` checks key, size and
time, and routes it to one of the protocols. The protocol converts the body to rows, a `ServedModel`
checks and predicts them, and the protocol converts the predictions to its response.
"""
