"""Files in and out: solutions are read and checked row by row, results are written row by row, memory stays flat."""

from rprm_jobs.formats.readers.bad_row import BadRow
from rprm_jobs.formats.readers.options import IdRule, ReadOptions
from rprm_jobs.formats.readers.reading import RawRow, read_raw, read_solutions
from rprm_jobs.formats.readers.report import ReadReport
from rprm_jobs.formats.readers.rows import InputRow, to_solution
from rprm_jobs.formats.writers import open_writer, write_all

__all__ = [
    "BadRow",
    "IdRule",
    "InputRow",
    "RawRow",
    "ReadOptions",
    "ReadReport",
    "open_writer",
    "read_raw",
    "read_solutions",
    "to_solution",
    "write_all",
]
