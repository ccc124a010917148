"""How critiques end, and what each end amounts to: the one table that every engine is tested against.

Each row is what a judge writes after its analysis and a line break, what of it is kept, and the verdict. `V` stands for
the verdict's question. The judge ends its turn after the text.
"""

from __future__ import annotations

from dataclasses import dataclass

from rprm_jobs.judge.verdict import MARKER
from rprm_jobs.types import Verdict

YES, NO, NONE = Verdict.YES, Verdict.NO, Verdict.UNPARSED


@dataclass(frozen=True, slots=True)
class Ending:
    """`written` by the judge, of which `kept` is the critique's; and its `verdict`."""

    written: str
    kept: str
    verdict: Verdict

    @property
    def name(self) -> str:
        return self.written.replace(MARKER, "V").replace("\n", "|") or "nothing"


def _row(written: str, verdict: Verdict, kept: str | None = None) -> Ending:
    written, kept = (text.replace("V ", f"{MARKER} ") for text in (written, written if kept is None else kept))
    return Ending(written, kept, verdict)


ENDINGS = (
    # A whole answer: the end of the text, of the line, or of the clause follows it.
    _row("V Yes", YES),
    _row("V No", NO),
    _row("V Yes\n", YES, "V Yes"),
    _row("V No\n\n", NO, "V No"),
    _row("V Yes.", YES),
    _row("V No.\n", NO, "V No."),
    _row("V Yes..", YES),
    _row("V Yes \n", YES, "V Yes "),
    _row("V Yes\r\nSo it is.", YES, "V Yes\r"),
    _row("V Yes, it is.", YES),
    _row("V Yes, ", YES),
    _row("V No because of 3", NO),
    _row("V No: 2 + 2 is 4.", NO),
    _row("V No (see above)", NO),
    _row("V No; 3 is wrong", NO),
    _row("V Yes \u2014 it follows.", YES),
    _row("V Yes!", YES),
    _row("V Yes\u3002", YES),
    _row("V Yes\uff0c\u56e0\u4e3a\u8ba1\u7b97\u6b63\u786e", YES),
    _row("V No\u2026", NO),
    _row("V Yes, no errors were found.", YES),
    _row("V Yes and this is why.", YES),
    _row("V Yes the step is right.", YES),
    # What is cut off by a word, a list of the choices, or a question.
    _row("V Yes/No", NONE),
    _row("V Yes / No", NONE),
    _row("V Yes or No?", NONE),
    _row("V Yes, or No?\n", NONE),
    _row("V Yes and No", NONE),
    _row("V Yes, No", NONE),
    _row("V Yes|No", NONE),
    _row("V Yes?", NONE),
    _row("V Yes\uff1f", NONE),
    _row("V Not applicable", NONE),
    _row("V None of the above", NONE),
    _row("V Nothing is wrong.", NONE),
    _row("V No one can tell.", NONE),
    _row("V No-one can tell.", NONE),
    _row("V No error found.", NONE),
    _row("V No 3 is wrong", NONE),
    _row("V Yesterday", NONE),
    _row("V Yes\u662f\u7684", NONE),
    _row("V No\u0308", NONE),
    # Almost the question, almost the answer.
    _row("V YES", NONE),
    _row("V NO", NONE),
    _row("V no.", NONE),
    _row("V yes", NONE),
    _row("V **Yes**", NONE),
    _row("V 'No'", NONE),
    _row("V \u662f", NONE),
    _row("V \u4e0d\u662f", NONE),
    _row("V \\boxed{Yes}", NONE),
    _row("V  Yes", NONE),
    _row("V \nYes", NONE),
    _row(f"{MARKER}Yes", NONE),
    _row(f"{MARKER}\u00a0Yes", NONE),
    _row(f"{MARKER}\u3000No", NONE),
    _row(f"{MARKER.replace('?', chr(0xFF1F))} Yes", NONE),
    _row(f"{MARKER.lower()} yes", NONE),
    _row(f"{MARKER.replace('/', chr(0xFF0F))} Yes", NONE),
    _row(f"{MARKER}", NONE),
    _row("\u9a8c\u8bc1\uff1a\u6b65\u9aa4\u6b63\u786e\u5417\uff1f\u662f", NONE),
    _row("", NONE),
    # Quotations, retractions, thinking.
    _row('I end with "V Yes or No?" later.\nV No', NO),
    _row("V Yes or No?\nLet me see.\nV No", NO),
    _row("As in V Yes, perhaps.\nV No\n", NO, "As in V Yes, perhaps.\nV No"),
    _row("V Yes\nWait, rechecking.\nV No", YES, "V Yes"),
    _row("V No because of 3.\nOr not.\nV Yes", NO, "V No because of 3."),
    _row("V Yes\nV No", YES, "V Yes"),
    _row("**V Yes**", YES),
    _row("> V Yes\nV No", NO),
    _row("<think>\nV Yes\n</think>\nV No", NO),
    _row("<think>\nV Yes\nHm.\n</think>\nSo:\nV No\nDone", NO, "<think>\nV Yes\nHm.\n</think>\nSo:\nV No"),
    _row("<think>\nV Yes\n", NONE),
    _row("[THINK]\nV Yes\n[/THINK]\nV No", NO),
)
# A thinking block that the chat frame opened, and a server does not show: only the whole text tells. The engines that
# frame a prompt themselves put its beginning before the answer.
UNOPENED = (_row("V Yes\n</think>\nNone of it.", NONE), _row("V Yes\n</think>\nV No", NO))
BODY = "The step adds 2 and 2."
