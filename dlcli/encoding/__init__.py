"""Encoding of tables as matrices: fitted on training rows only, stored as JSON, always the same.

The path of a cell: `column_types` decides on the type of its column, by the config or by the
rules of `type_rules`; `encoding` fits the encoder of that type, which turns the cell into one or
several numbers of a row of the matrix; and the `Layout` shows the network which inputs these are.
"""

from dlcli.encoding.categorical_columns import CategoryEncoder, EmbeddingEncoder
from dlcli.encoding.column_encoder import (
    Block,
    EmbeddingTable,
    FilledEncoder,
    ImageForm,
    Layout,
    PeriodicForm,
    plain_layout,
)
from dlcli.encoding.column_summary import MIN_ROWS, ColumnSummary, summarize_column
from dlcli.encoding.column_types import (
    UNMATCHED,
    UNMATCHED_REASON,
    choose_features,
    count_all_rows,
    decide_types,
    find_identity,
    has_identifier_name,
    infer_type,
    matching_name,
    numbered_prefix,
    type_columns,
    type_warnings,
)
from dlcli.encoding.datetime_columns import DatetimeEncoder, circles
from dlcli.encoding.encoded_rows import (
    MOST_FILLED,
    EncodedRows,
    Indices,
    InMemoryInputs,
    Inputs,
    InputsWriter,
    Matrix,
    OnDiskInputs,
    SelectedInputs,
    ShardedInputs,
    block_rows,
    is_resident,
    resident_matrix,
    stored_inputs,
    stored_values,
)
from dlcli.encoding.encoding import (
    MAX_ROWS_AT_ONCE,
    Encoding,
    FeatureEncoder,
    difference_lines,
    encode_rows,
    find_differences,
    fit_encoding,
    row_weights,
)
from dlcli.encoding.image_columns import ImageEncoder, image_files, read_images
from dlcli.encoding.missing_words import (
    resolved_missing,
    settle_missing_words,
    words_to_predict,
    words_to_read,
)
from dlcli.encoding.numeric_columns import (
    BooleanEncoder,
    NumberEncoder,
    NumericEncoder,
    PiecewiseLinearEncoder,
)
from dlcli.encoding.text_columns import UNSPACED, UNSPACED_SCRIPTS, TextEncoder
from dlcli.encoding.type_rules import Decision
