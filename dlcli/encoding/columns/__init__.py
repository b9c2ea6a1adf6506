"""One encoder for each type of column, fitted on training rows and written to JSON."""
