"""Tables read from files and from memory, with file, row and column in every error.

CSV, TSV, Parquet, Arrow IPC and JSON lines, in one file or several, become one `Table`. Fields of
CSV and TSV stay text, so zip codes keep their zeros, and the caller decides for each column whether
to read numbers, booleans, times or categories. Rows are counted from 1 after the header;
blank lines are not rows.
"""
