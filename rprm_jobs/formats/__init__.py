"""Files in and out: solutions are read and checked row by row, results are written row by row, memory stays flat."""

from rprm_jobs.formats.reading import RawRow, read_raw, read_solutions
from rprm_jobs.formats.rows import ReadOptions, Row
from rprm_jobs.formats.writers import open_writer, write_all

__all__ = ["RawRow", "ReadOptions", "Row", "open_writer", "read_raw", "read_solutions", "write_all"]
