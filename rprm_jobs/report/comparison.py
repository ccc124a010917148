"""The page of a comparison: the solutions on which judges differ, each judge's text beside the other's.

It loads nothing and runs no script; all texts of users and models are escaped.
"""

from __future__ import annotations

from rprm_jobs.report.page import environment
from rprm_jobs.services.evaluation.comparing import Compared

# Of a step's critiques, those whose text is on the page.
_TEXTS = 4


def render(compared: Compared) -> str:
    """The whole page. Raises ConfigError when jinja2 is not installed."""
    jobs = [status.job for status in compared.statuses]
    template = environment().get_template("compare.html.j2")
    page: str = template.render(document=compared.as_json(), jobs=jobs, shown=compared.shown, texts=_TEXTS)
    return page
