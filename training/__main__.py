"""`python -m training sft|dpo`: make a judge of a model, or a better one of a judge, from a set or an export of one."""

from __future__ import annotations

import json
import sys

from rprm_jobs.errors import RprmError
from training.options import training_parser

# What `rprm-jobs train` adds: it prints the error itself, in its own style or as JSON.
REPORT = "--report-error"


def main() -> None:
    """Train, write the judge's folder, and print JSON: what was trained or, when asked, the error."""
    words = sys.argv[1:]
    report = REPORT in words
    try:
        options = training_parser().parse_args([word for word in words if word != REPORT])
        # Help must not wait for the store and its libraries.
        from training.entry import run

        result = run(options)
    except RprmError as error:
        if report:
            print(json.dumps({"error": error.as_dict()}))
        else:
            print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    if result is not None:
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
