"""The tokenizer that a model folder holds, whichever kind it is."""

from collections.abc import Mapping

from ..errors import CheckpointError
from .bpe import BPE
from .char_tokenizer import CharTokenizer
from .word_tokenizer import WordTokenizer

Tokenizer = BPE | CharTokenizer | WordTokenizer
_KINDS: dict[str, type[BPE] | type[CharTokenizer] | type[WordTokenizer]] = {
    "bpe": BPE,
    "char": CharTokenizer,
    "word": WordTokenizer,
}


def tokenizer_from_json(data: object) -> Tokenizer:
    """Rebuild the tokenizer whose `to_json` returned `data`, by its type tag.

    CheckpointError for an unknown type, or content that is missing or broken.
    """
    kind = data.get("type") if isinstance(data, Mapping) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        raise CheckpointError(f"Expected a saved tokenizer, a dict with 'type' among {sorted(_KINDS)}. Got {kind!r}.")
    return _KINDS[kind].from_json(data)
