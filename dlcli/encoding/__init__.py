"""Encoding of tables as matrices: fitted on training rows only, stored as JSON, always the same.

The path of a cell: `column_types` decides on the type of its column, by the config or by the rules
of the types in `dlcli.columns`; `table_encoding` has that type fit its encoder, which turns the
cell into one or several numbers of a row of the matrix; and the `Layout` shows the network which
inputs these are.
"""
