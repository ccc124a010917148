"""Files in and out: solutions are read and checked row by row, results are written row by row, memory stays flat."""

from rprm_jobs.formats.readers.reading import RawRow, read_raw, read_solutions
from rprm_jobs.formats.readers.rows import InputRow, ReadOptions
from rprm_jobs.formats.writers import open_writer, write_all

__all__ = ["InputRow", "RawRow", "ReadOptions", "open_writer", "read_raw", "read_solutions", "write_all"]
