"""Reading a critique: its verdict, the place of the verdict among its tokens, and P(Yes) there.

The last verdict line counts. Text that is not exactly a verdict is unparsed, never a guess: `**Yes**`, `yes`, or
`Yes/No` say nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

from rprm_jobs.types import Finish, Verdict

MARKER = "Verification: Is the step correct (Yes/No)?"
PARSE_RULE = "last-verdict/1"
# A critique may quote the verdict line in running text, so only one that begins a line ends the generation.
STOP_STRINGS = (f"\n{MARKER} Yes", f"\n{MARKER} No")
_VERDICT = re.compile(re.escape(MARKER) + r" (Yes|No)(?![\w/])")


def find_verdicts(text: str) -> list[re.Match[str]]:
    """Every verdict in `text`, in order; group 1 is `Yes` or `No`."""
    return list(_VERDICT.finditer(text))


def read_verdict(text: str, finish: Finish) -> Verdict:
    """The last verdict of a critique; without one, TRUNCATED if the token limit cut it, else UNPARSED."""
    found = find_verdicts(text)
    if found:
        return Verdict.YES if found[-1][1] == "Yes" else Verdict.NO
    return Verdict.TRUNCATED if finish is Finish.LENGTH else Verdict.UNPARSED


def verdict_place(text: str, ids: Sequence[int], decode: Callable[[Sequence[int]], str]) -> int | None:
    """Index into `ids` of the token that begins the last verdict's Yes or No; None where there is no verdict.

    `text` must be `decode(ids)` or, when it was cut after a stop string, the beginning of it. The verdict mostly stands
    at the end, so the search strides backwards from there, and a verdict far from the end costs a few decodes more.
    """
    found = find_verdicts(text)
    if not found:
        return None
    # The answer is tokenised with the space before it.
    start = found[-1].start(1) - 1
    low = high = len(ids)
    stride = 1
    while low > 0 and len(decode(ids[:low])) > start:
        low, high = max(0, low - stride), low
        stride *= 2
    # Now ids[:low] ends before the answer or at its first character, and ids[:high] reaches into it.
    while high - low > 1:
        middle = (low + high) // 2
        if len(decode(ids[:middle])) > start:
            high = middle
        else:
            low = middle
    return low


def p_yes(logprob_yes: float, logprob_no: float) -> float:
    """P(Yes) in [0, 1]: the softmax over the two first-token logits (R-PRM, section 3), from their log-probs."""
    difference = logprob_no - logprob_yes
    if difference > 0:
        odds = math.exp(-difference)
        return odds / (1.0 + odds)
    return 1.0 / (1.0 + math.exp(difference))
