"""Tables to matrices: fitted on training rows only, written to JSON, the same ever after."""

from dlcli.encoding.columns.datetimes import DatetimeEncoder
from dlcli.encoding.columns.features import FeatureEncoder
from dlcli.encoding.columns.images import ImageEncoder, image_files
from dlcli.encoding.columns.numeric import NumericEncoder
from dlcli.encoding.differences import Difference, difference_lines, find_differences
from dlcli.encoding.encoding import Encoding, fit_encoding, row_weights
from dlcli.encoding.inputs import InMemoryInputs, Inputs, Matrix, Places
from dlcli.encoding.large_inputs import Remedy, remedy
from dlcli.encoding.layout import (
    Block,
    EmbeddingTable,
    ImageForm,
    Layout,
    PeriodicForm,
    plain_layout,
)
from dlcli.encoding.rows import MAX_ROWS_AT_ONCE, EncodedRows, encode_rows
from dlcli.encoding.stored import InputsWriter, block_rows
from dlcli.encoding.types.choosing import UNMATCHED, UNMATCHED_REASON, choose_features
from dlcli.encoding.types.deciding import decide_types, infer_type
from dlcli.encoding.types.decision import Decision, type_warnings
from dlcli.encoding.types.numbers import may_be_codes
from dlcli.encoding.values import (
    MAX_SHOWN,
    MIN_ROWS,
    ColumnSummary,
    is_identifier,
    summarize_column,
)

__all__ = [
    "Block",
    "DatetimeEncoder",
    "Decision",
    "Difference",
    "EmbeddingTable",
    "Encoding",
    "MIN_ROWS",
    "FeatureEncoder",
    "InMemoryInputs",
    "ImageEncoder",
    "Inputs",
    "InputsWriter",
    "Layout",
    "MAX_ROWS_AT_ONCE",
    "MAX_SHOWN",
    "Matrix",
    "UNMATCHED_REASON",
    "NumericEncoder",
    "ImageForm",
    "Places",
    "Remedy",
    "EncodedRows",
    "UNMATCHED",
    "ColumnSummary",
    "PeriodicForm",
    "block_rows",
    "choose_features",
    "summarize_column",
    "decide_types",
    "find_differences",
    "encode_rows",
    "fit_encoding",
    "image_files",
    "infer_type",
    "is_identifier",
    "difference_lines",
    "may_be_codes",
    "plain_layout",
    "remedy",
    "row_weights",
    "type_warnings",
]
