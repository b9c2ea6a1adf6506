"""Encoding of tables as matrices: fitted on training rows only, stored as JSON, deterministic.

The path of a cell: `column_types` decides on the type of its column, from the config or the
inference rules in `dlcli.columns`. `table_encoding` fits the encoder of this type, which converts
the cell to one or several numbers of a matrix row. The `Layout` describes these inputs to the
network.
"""
