"""B17: sizes and dates that article B states."""

from __future__ import annotations

from ..article_a.sizes import COUNTED, judged
from ..questions import Answer, Question
from ..record import Finding, Formula, Reading, Record

BILLION, OPEN = 1e9, float("inf")
SMALL = (1e6, BILLION)  # millions to hundreds of millions, the article's range for small models

# A year by which each was in print at the latest, with its source; both kinds of network are older than these papers.
IN_PRINT = {
    "recurrent network": (1990, "J. L. Elman, Finding structure in time, Cognitive Science 14"),
    "convolutional network": (1989, "Y. LeCun et al., Backpropagation applied to zip code recognition, Neural Comp. 1"),
    "LSTM": (1997, "S. Hochreiter and J. Schmidhuber, Neural Computation 9"),
    "GPT-2": (2019, "A. Radford et al., Language models are unsupervised multitask learners, OpenAI, February 2019"),
}


# -- the claims: (what, "size" or "year") -> (lowest, highest) that is claimed -----------------------------------------


def as_stated(what: str, kind: str) -> tuple[float, float]:
    """The article: GPT-3 and BERT billions or more, GPT-2 of 2020 small, RNN and CNN of the 2010s."""
    if kind == "year":
        return (2020, 2020) if what == "GPT-2" else (2010, 2019)
    return SMALL if what == "GPT-2" else (BILLION, OPEN)


def ten_billions(what: str, kind: str) -> tuple[float, float]:
    """The same with 数十亿 read as tens of billions."""
    low, high = as_stated(what, kind)
    return (10 * low, high) if kind == "size" and high == OPEN else (low, high)


def from_sources(what: str, kind: str) -> tuple[float, float]:
    """Sizes to about one percent as the papers give them, and not after the years of the sources."""
    if kind == "year":
        return -OPEN, IN_PRINT[what][0]
    size = {"BERT-base": 0.110e9, "BERT-large": 0.335e9, "GPT-2": 1.55e9, "GPT-3": 175e9}[what]
    return 0.985 * size, 1.015 * size


def of_size(what: str) -> Question:
    """Does the count fall into the claimed range?"""

    def test(claim: Formula) -> Answer:
        return judged(what, *claim(what, "size"))

    return Question("fact", f"Is the size of {what} within what is claimed (counted from its published sizes)?", test)


def of_year(what: str) -> Question:
    """Does the claim allow for the source, which is a bound on the first appearance and not its date?"""

    def test(claim: Formula) -> Answer:
        low, high = claim(what, "year")
        year, source = IN_PRINT[what]
        span = f"not after {high:g}" if low == -OPEN else f"{low:g}" if low == high else f"{low:g} to {high:g}"
        return Answer(low <= year <= high, f"in print by {year} at the latest ({source}), claimed {span}")

    return Question("fact", f"{what}: does the claimed time agree with what was in print?", test)


def sizes() -> Answer:
    """All four, counted."""
    expected = {"BERT-base": 109_482_240, "BERT-large": 335_141_888, "GPT-2": 1_557_611_200, "GPT-3": 174_604_800_000}
    text = ", ".join(f"{name} {n / 1e9:.4g} billion" for name, n in COUNTED.items())
    close = all(abs(COUNTED[name] / n - 1) < 1e-3 for name, n in expected.items())
    return Answer(close, text, dict(COUNTED))


def outside() -> Answer:
    """The counts that lie outside what the article says."""
    found = [judged(name, *as_stated(name, "size")) for name in COUNTED]
    return Answer([a.ok for a in found] == [False, False, False, True], "; ".join(a.text for a in found if not a.ok))


def twenty_years() -> Answer:
    """How long before 2010, at least."""
    before = {name: 2010 - IN_PRINT[name][0] for name in ("recurrent network", "convolutional network", "LSTM")}
    return Answer(min(before.values()) >= 10, ", ".join(f"{k} at least {v} years" for k, v in before.items()), before)


RECORDS = (
    Record(
        "B17",
        "1, origin and development; 9.1",
        "sizes and dates",
        "wrong: fact",
        "Small models have millions to hundreds of millions of parameters, large ones such as GPT-3 and BERT billions "
        "or more; GPT-2 with 1.5 billion is a small model of 2020; RNN and CNN appeared in the 2010s.",
        readings=(Reading("as stated", as_stated), Reading("tens of billions", ten_billions)),
        questions=(
            *(of_size(name) for name in COUNTED),
            of_year("GPT-2"),
            of_year("recurrent network"),
            of_year("convolutional network"),
        ),
        repaired=r"\text{BERT } 0.11 \text{ and } 0.34, \text{ GPT-2 } 1.56, \text{ GPT-3 } 174.6 \text{ billion}",
        repair=from_sources,
        findings=(
            Finding("outside what is claimed", outside),
            Finding("counted from the published sizes", sizes),
            Finding("older than the 2010s", twenty_years),
        ),
        source="; ".join(source for _, source in IN_PRINT.values())
        + "; J. Devlin et al., BERT, NAACL 2019; T. Brown et al., Language models are few-shot learners, NeurIPS 2020",
        note="GPT-3 is as large as stated, and 1.5 billion is GPT-2's size; but by the article's own range that is not "
        "small. The years are bounds: both kinds of network are older (K. Fukushima 1980, M. I. Jordan 1986). "
        "A paper of 1992 by Rozovskii and Pavlov is cited; we could not find it.",
    ),
)
