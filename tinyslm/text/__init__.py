"""From text to numbers: cleaning, sentences, tokens, stop words, vocabularies, padding, and the tokenizers."""

from .bpe import BPE
from .char_tokenizer import CharTokenizer
from .clean import clean, strip_html
from .load import Tokenizer, tokenizer_from_json
from .padding import pad
from .script import detect_language
from .sentences import sentences
from .stopwords import remove_stop_words, stop_words
from .tokenize import WordList, characters, keras_words, max_match, ngrams, words
from .vocabulary import Vocabulary
from .word_tokenizer import WordTokenizer

__all__ = [
    "BPE",
    "CharTokenizer",
    "Tokenizer",
    "Vocabulary",
    "WordList",
    "WordTokenizer",
    "characters",
    "clean",
    "detect_language",
    "keras_words",
    "max_match",
    "ngrams",
    "pad",
    "remove_stop_words",
    "sentences",
    "stop_words",
    "strip_html",
    "tokenizer_from_json",
    "words",
]
