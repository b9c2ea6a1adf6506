"""Tables read from files and from memory, with file, row and column in every error.

CSV, TSV, Parquet, Arrow IPC and JSON lines, in one file or several, become one `Table`. Fields of
CSV and TSV stay text, so that zip codes keep their zeros, and the caller decides for each column
whether to read numbers, booleans, times or categories. Rows are counted from 1 after the header;
blank lines are not rows.
"""

from dlcli.tables.arrow_arrays import (
    blanked,
    floats,
    from_utf8,
    index_in,
    integers,
    mask_to_numpy,
    plain,
    strings,
    to_numpy,
    utf8,
)
from dlcli.tables.column import (
    CLEAR_MISSING_WORDS,
    UNKNOWN_WORDS,
    USUAL_MISSING_WORDS,
    Column,
    column_kind,
    missing_numbers,
    missing_setting,
    missing_texts,
)
from dlcli.tables.datetime_parsing import (
    CENTURY_TURN,
    DAY,
    MONTHS,
    SECOND,
    TIME_DIRECTIVES,
    TIME_PARTS,
    UNIX_TICKS,
    Moments,
    TimeGuess,
    compact_dates,
    guess_times,
    month_pattern,
    offset_at,
    parse_times,
    time_pattern,
    to_local,
)
from dlcli.tables.delimited_text import read_layout
from dlcli.tables.disk_table import storing
from dlcli.tables.distinct_texts import DistinctTexts, count_texts
from dlcli.tables.few_rows import (
    LARGEST_PLAIN,
    MOST_CHARACTERS,
    FewRows,
    FewValues,
    NeedsTable,
    Reading,
)
from dlcli.tables.memory_tables import MemoryTable, memory_table
from dlcli.tables.notation_detection import CURRENCY_CODES
from dlcli.tables.number_notation import Notation
from dlcli.tables.partitions import Partition, partitions
from dlcli.tables.remote_files import (
    check_writable,
    each_file,
    file_size,
    file_version,
    open_url,
    upload,
)
from dlcli.tables.sharded_table import (
    Exchange,
    RowShares,
    ShardedColumns,
    gather_arrays,
    gather_json,
    in_agreement,
)
from dlcli.tables.source_files import (
    Source,
    SourceFile,
    expand,
    file_format,
    find,
    locate_table,
    name_of,
    recognize,
)
from dlcli.tables.table import Remark, Table
from dlcli.tables.table_files import MissingWords, open_batches, read_header, read_table
