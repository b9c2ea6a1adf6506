"""One YAML file in; a trained, explained and portable Dense network out."""

import os

__version__ = "0.1.0"

# Arrow's usual allocator keeps what was freed, for each of its threads, and a table on disk that is
# read column by column would come to lie in memory after all. It is chosen when Arrow is loaded.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
