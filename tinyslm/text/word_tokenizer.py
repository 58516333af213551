"""The whole way from a text to numbers: clean, split, drop stop words, join n-grams, look up."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CheckpointError, DataError, OptionError, require_whole
from ._fields import FORMAT_VERSION, each_text, read_field, read_header, read_list, require_choice
from .clean import UnicodeForm, clean
from .padding import Side, pad
from .stopwords import remove_stop_words
from .tokenize import WordList, as_word_list, keras_words, ngrams, words
from .vocabulary import UNKNOWN_TOKEN, Vocabulary

_SPLITS = ("words", "keras")


@dataclass(kw_only=True)
class WordTokenizer:
    """The preparation of the articles (A14) as one object that is fitted, saved and loaded with the classifier.

    split: "words" cleans (html, urls, emails, handles, lower, unicode as in `clean`) and splits (lang, punctuation,
    word_list as in `words`); "keras" does exactly what the article's `Tokenizer` does, and none of these.
    drop_stop_words: take out the stop words except those in `keep`. ngrams: 1 for words alone, 2 for pairs as well,
    and so on; the words of one are joined by a space.
    size, min_count, specials, unknown: as in `Vocabulary.build`.

    OptionError for settings outside their range. `fit` comes before `encode`, otherwise a DataError.
    """

    split: str = "words"
    lang: str = "auto"
    html: bool = True
    urls: bool | str = True
    emails: bool | str = True
    handles: bool | str = True
    lower: bool = True
    unicode: UnicodeForm | None = "NFC"
    punctuation: bool = False
    word_list: WordList | Iterable[str] | None = None
    drop_stop_words: bool = False
    keep: tuple[str, ...] = ()
    ngrams: int = 1
    size: int = 10000
    min_count: int = 1
    specials: tuple[str, ...] = ("<pad>", UNKNOWN_TOKEN)
    unknown: str | None = None
    vocabulary: Vocabulary | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        require_choice(self.split, "split", _SPLITS)
        self.ngrams = require_whole(self.ngrams, "ngrams", least=1)
        self.size, self.min_count = require_whole(self.size, "size", 1), require_whole(self.min_count, "min_count", 1)
        self.keep, self.specials = tuple(each_text(self.keep, "keep")), tuple(each_text(self.specials, "specials"))
        self.word_list = None if self.word_list is None else as_word_list(self.word_list)
        # Wrong settings should show here, not with the first text.
        self.tokens("")
        Vocabulary.build([], self.size, self.min_count, self.specials, self.unknown)

    @classmethod
    def keras(cls, size: int = 10000) -> "WordTokenizer":
        """Return the article's tokenizer (A16): index 0 reserved, unknown words dropped, ids below `size`."""
        return cls(split="keras", size=size, specials=("<pad>",), unknown="drop")

    def fit(self, texts: Iterable[str]) -> "WordTokenizer":
        """Build the vocabulary from the training texts, and return self. DataError if they hold no token at all."""
        token_lists = [self.tokens(text) for text in each_text(texts)]
        if not any(token_lists):
            raise DataError(f"Expected texts with words in them. Got {len(token_lists)} texts without a token.")
        self.vocabulary = Vocabulary.build(token_lists, self.size, self.min_count, self.specials, self.unknown)
        return self

    def __len__(self) -> int:
        return len(self._fitted())

    def stages(self, text: str, most_words: int | None = None) -> dict[str, Any]:
        """Return what each stage makes of one text, by the stage's name: str, then lists of str, then ids.

        most_words: keep only the last so many words; n-grams are joined within them.
        """
        shown = self._until_tokens(text, most_words)
        return shown if self.vocabulary is None else shown | {"ids": self.vocabulary.encode(shown["n-grams"])}

    def _until_tokens(self, text: str, most_words: int | None) -> dict[str, Any]:
        cleaned = text if self.split == "keras" else self._clean(text)
        split = keras_words(cleaned) if self.split == "keras" else self._words(cleaned)
        kept = remove_stop_words(split, keep=self.keep) if self.drop_stop_words else split
        last = kept if most_words is None else kept[max(len(kept) - most_words, 0) :]
        joined = [*last, *(" ".join(run) for n in range(2, self.ngrams + 1) for run in ngrams(last, n))]
        return {"text": text, "clean": cleaned, "words": split, "without stop words": kept, "n-grams": joined}

    def tokens(self, text: str, most_words: int | None = None) -> list[str]:
        """Return the tokens of `text`, or of its last `most_words` words, known or not. DataError if it is no str."""
        tokens: list[str] = self._until_tokens(text, most_words)["n-grams"]
        return tokens

    def encode(self, text: str, most_words: int | None = None) -> list[int]:
        """Return the ids of the tokens of `text`, or of its last `most_words` words."""
        return self._fitted().encode(self.tokens(text, most_words))

    def encode_batch(
        self, texts: Iterable[str], length: int | None = None, side: Side = "left", cut: Side = "left"
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (ids (B, T), lengths (B,)) for a list of texts; see `pad`."""
        return pad([self.encode(text) for text in each_text(texts)], length, side, cut, 0)

    def decode(self, ids: Iterable[int], *, skip_specials: bool = False) -> str:
        """Return the tokens of the ids with spaces between them; what the stages took out does not come back."""
        return " ".join(self._fitted().decode(ids, skip_specials=skip_specials))

    def to_json(self) -> dict[str, Any]:
        """Return settings and vocabulary as plain dicts and lists for json.dump."""
        settings = {name: getattr(self, name) for name in _SETTINGS}
        settings |= {"keep": list(self.keep), "specials": list(self.specials)}
        settings["word_list"] = sorted(self.word_list.entries) if isinstance(self.word_list, WordList) else None
        return {
            "type": "word",
            "format_version": FORMAT_VERSION,
            "settings": settings,
            "vocabulary": self._fitted().to_json(),
        }

    @classmethod
    def from_json(cls, data: object) -> "WordTokenizer":
        """Rebuild what `to_json` returned. CheckpointError for anything missing, unknown or out of range."""
        saved = read_header(data, "word")
        settings = _read_settings(read_field(saved, "settings", dict))
        vocabulary = Vocabulary.from_json(read_field(saved, "vocabulary", dict))
        try:
            tokenizer = cls(**settings)
        except (DataError, OptionError) as error:
            raise CheckpointError(f"The saved word tokenizer has a setting that does not fit. {error}") from error
        if tokenizer.specials != vocabulary.specials or len(vocabulary) > tokenizer.size:
            raise CheckpointError("Expected a vocabulary built with the settings saved beside it. Got another one.")
        tokenizer.vocabulary = vocabulary
        return tokenizer

    def _clean(self, text: str) -> str:
        return clean(
            text,
            html=self.html,
            urls=self.urls,
            emails=self.emails,
            handles=self.handles,
            lower=self.lower,
            unicode=self.unicode,
        )

    def _words(self, text: str) -> list[str]:
        return words(text, self.lang, punctuation=self.punctuation, word_list=self.word_list)

    def _fitted(self) -> Vocabulary:
        if self.vocabulary is None:
            raise DataError("Expected a fitted tokenizer. Got one without a vocabulary: call fit(texts) first.")
        return self.vocabulary


_SETTINGS = tuple(setting.name for setting in fields(WordTokenizer) if setting.name != "vocabulary")
# The JSON types of the settings; a bool is never taken for an int.
_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("split", "lang"), (str,)),
    **dict.fromkeys(("html", "lower", "punctuation", "drop_stop_words"), (bool,)),
    **dict.fromkeys(("urls", "emails", "handles"), (bool, str)),
    **dict.fromkeys(("unicode", "unknown"), (str, type(None))),
    **dict.fromkeys(("ngrams", "size", "min_count"), (int,)),
    **dict.fromkeys(("keep", "specials"), (list,)),
    "word_list": (list, type(None)),
}


def _read_settings(settings: dict[str, Any]) -> dict[str, Any]:
    if set(settings) != set(_SETTINGS):
        raise CheckpointError(f"Expected the settings {sorted(_SETTINGS)}. Got {sorted(map(str, settings))}.")
    for name, value in settings.items():
        if type(value) not in _TYPES[name]:
            raise CheckpointError(f"Expected the setting {name!r} as {_TYPES[name][0].__name__}. Got {value!r}.")
        if isinstance(value, list):
            read_list(settings, name, str)
    return settings
