"""Tables to matrices: fitted on training rows only, written to JSON, the same ever after."""

from dlcli.encoding.columns.datetimes import DatetimeEncoder
from dlcli.encoding.columns.features import FeatureEncoder
from dlcli.encoding.columns.images import ImageEncoder, image_files
from dlcli.encoding.columns.numeric import NumericEncoder
from dlcli.encoding.differences import Difference, differences, lines_of
from dlcli.encoding.encoding import Encoding, fit_encoding, row_weights
from dlcli.encoding.inputs import HeldInputs, Inputs, Matrix, Places
from dlcli.encoding.large_inputs import Remedy, remedy
from dlcli.encoding.layout import Block, EmbeddingTable, Layout, Picture, Waves, plain_layout
from dlcli.encoding.rows import MOST_ROWS, Rows, encode_rows
from dlcli.encoding.stored import InputsWriter, block_rows
from dlcli.encoding.types.choosing import NOT_NAMED, UNNAMED, choose_features
from dlcli.encoding.types.deciding import decide_types, infer_type
from dlcli.encoding.types.decision import Decision, type_warnings
from dlcli.encoding.types.numbers import may_be_codes
from dlcli.encoding.values import FEWEST_ROWS, MOST_SHOWN, Values, column_values, is_identifier

__all__ = [
    "Block",
    "DatetimeEncoder",
    "Decision",
    "Difference",
    "EmbeddingTable",
    "Encoding",
    "FEWEST_ROWS",
    "FeatureEncoder",
    "HeldInputs",
    "ImageEncoder",
    "Inputs",
    "InputsWriter",
    "Layout",
    "MOST_ROWS",
    "MOST_SHOWN",
    "Matrix",
    "NOT_NAMED",
    "NumericEncoder",
    "Picture",
    "Places",
    "Remedy",
    "Rows",
    "UNNAMED",
    "Values",
    "Waves",
    "block_rows",
    "choose_features",
    "column_values",
    "decide_types",
    "differences",
    "encode_rows",
    "fit_encoding",
    "image_files",
    "infer_type",
    "is_identifier",
    "lines_of",
    "may_be_codes",
    "plain_layout",
    "remedy",
    "row_weights",
    "type_warnings",
]
