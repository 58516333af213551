"""A19: how large the models are that the article names, counted from their published sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..questions import Answer, Question, asks
from ..record import Finding, Formula, Reading, Record

# Published: vocabulary, positions, width, layers; and the number of parameters that the paper names.
BERT = {"BERT-base": (30_522, 512, 768, 12, 110e6), "BERT-large": (30_522, 512, 1024, 24, 340e6)}
GPT = {"GPT-2": (50_257, 1024, 1600, 48, 1542e6), "GPT-3": (50_257, 2048, 12_288, 96, 175e9)}
TOLERANCE = 0.02  # between our count and the number in the paper


def bert_parameters(vocabulary: int, positions: int, width: int, layers: int) -> int:
    """Three embeddings with a norm; per layer Q, K, V, output, two norms, a feed-forward of 4 D; a pooler."""
    block = 4 * _affine(width, width) + _affine(width, 4 * width) + _affine(4 * width, width) + 4 * width
    return (vocabulary + positions + 2) * width + 2 * width + layers * block + _affine(width, width)


def gpt_parameters(vocabulary: int, positions: int, width: int, layers: int) -> int:
    """Two embeddings, the same blocks, a last norm; the output shares the word embedding."""
    block = 4 * _affine(width, width) + _affine(width, 4 * width) + _affine(4 * width, width) + 4 * width
    return (vocabulary + positions) * width + layers * block + 2 * width


def _affine(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


COUNTED = {name: bert_parameters(*sizes[:4]) for name, sizes in BERT.items()} | {
    name: gpt_parameters(*sizes[:4]) for name, sizes in GPT.items()
}


# -- claims: name of a model -> (from, to) ----------------------------------------------------------------------------


def billions(name: str) -> tuple[float, float]:
    """The article's word (ten times a hundred million, several) as one to ten billion."""
    return 1e9, 1e10


def tens_of_billions(name: str) -> tuple[float, float]:
    """The same, up to a hundred billion."""
    return 1e9, 1e11


def at_least_billions(name: str) -> tuple[float, float]:
    """The same, with nothing above."""
    return 1e9, float("inf")


def counted(name: str) -> tuple[float, float]:
    """What the counts say, to two percent."""
    says = {"BERT-base": 109.5e6, "BERT-large": 335e6, "GPT-2": 1.558e9, "GPT-3": 174.6e9}[name]
    return says * (1 - TOLERANCE), says * (1 + TOLERANCE)


def judged(name: str, low: float, high: float) -> Answer:
    """Whether the count lies in the range that is claimed, with both in billions."""
    n = COUNTED[name]
    span = " billion or more" if high == float("inf") else f" to {high / 1e9:.4g} billion"
    return Answer(low <= n <= high, f"{name} {n / 1e9:.4g} billion, claimed {low / 1e9:.4g}{span}", {"count": n})


def in_claimed_range(name: str) -> Question:
    """Whether the count lies in the range that is claimed."""

    @asks("fact", f"Is the count of {name} in the range that is claimed?")
    def question(claim: Formula) -> Answer:
        return judged(name, *claim(name))

    return question


def _listed(names: Mapping[str, Any], text: Callable[[str], str]) -> str:
    return ", ".join(f"{name} {text(name)}" for name in names)


def counts() -> Answer:
    """All four, against the numbers in the papers."""
    published = {name: sizes[4] for name, sizes in (BERT | GPT).items()}
    off = {name: COUNTED[name] / published[name] - 1 for name in published}
    ok = all(abs(x) < TOLERANCE for x in off.values())
    return Answer(ok, _listed(COUNTED, lambda n: f"{COUNTED[n] / 1e6:,.1f} M ({off[n]:+.1%} of the paper's)"), COUNTED)


def berts() -> Answer:
    """Both BERTs against the widest reading of "billions"."""
    found = [judged(name, *at_least_billions(name)) for name in BERT]
    return Answer(not any(a.ok for a in found), "; ".join(a.text for a in found))


def two_articles() -> Answer:
    """Whether GPT-2 is small by each article's own line."""
    n = COUNTED["GPT-2"]
    text = "article A ends small models at millions, B at hundreds of millions; B counts GPT-2 as small"
    return Answer(n > 9.99e8, f"{n:,} parameters: {text}", {"count": n})


RECORDS = (
    Record(
        "A19",
        "2, comparison, and question 1",
        "sizes of models",
        "wrong: fact",
        "Small models have thousands to millions of parameters, foundation models hundreds of millions to billions; "
        "GPT-3 and BERT are named as examples with billions.",
        "",
        (
            Reading("one to ten billion", billions),
            Reading("up to a hundred billion", tens_of_billions),
            Reading("a billion or more", at_least_billions),
        ),
        tuple(in_claimed_range(name) for name in ("BERT-base", "BERT-large", "GPT-3")),
        "",
        counted,
        (
            Finding("both BERTs against the widest reading", berts),
            Finding("parameters counted from the published sizes", counts),
            Finding("GPT-2 against the articles' own line", two_articles),
        ),
        "J. Devlin et al., BERT, NAACL 2019; A. Radford et al. 2019 (GPT-2); T. Brown et al. 2020 (GPT-3)",
        note="BERT counted without the head for masked words. BERT is in the hundreds of millions, GPT-3 beyond the "
        "article's range.",
    ),
)
