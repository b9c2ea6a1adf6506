"""Encoding of tables as matrices: fitted on training rows only, stored as JSON, deterministic.

`column_types` decides on the type of each column, from the config or by the inference rules in
`dlcli.columns`. `table_encoding` fits an encoder of this type, which converts each value to one or
several numbers in a row of the matrix. The `Layout` describes these inputs to the network.
"""
