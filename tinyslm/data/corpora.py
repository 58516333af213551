"""Every corpus by its name, wherever it comes from: bundled, public, or the running Python's own help texts."""

from importlib.resources import files
from pathlib import Path

from ..errors import DataError, OptionError
from .csvfile import read_csv
from .download import fetch
from .registry import DATASETS, unknown
from .table import Table
from .transfer import Progress

_BUNDLED = {
    "reviews": "reviews.csv",
    "reviews_zh": "reviews_zh.csv",
    "phrases_en_zh": "phrases_en_zh.csv",
    "stories": "stories.txt",
}
_PYTHON_DOCS = "python-docs"


def names() -> list[str]:
    """The names that `load` knows: the bundled ones first, then the help texts, then those it downloads."""
    return [*_BUNDLED, _PYTHON_DOCS, *DATASETS]


def bundled_path(name: str) -> Path:
    """The file of a corpus that comes with the library: "reviews", "reviews_zh", "phrases_en_zh" or "stories".

    Beside it lies a data card of the same name with the suffix .md. Raises OptionError for any other name.
    """
    if name not in _BUNDLED:
        raise unknown(name, list(_BUNDLED))
    return Path(str(files("tinyslm.data.bundled"))) / _BUNDLED[name]


def load(
    name: str,
    data_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> Table | str:
    """A corpus by name: a Table for classification or translation, a string for plain text. `names()` lists them.

    data_dir and progress serve the public sets; see `fetch`. The bundled tables have the extra columns kind and split,
    which `table.where("split", "train")` picks a part by; reviews also style, and phrases_en_zh, which has no labels,
    the translations as chinese. Raises OptionError for an unknown name, DataError when the data cannot be had.
    """
    if name == _PYTHON_DOCS:
        return python_docs()
    if name in _BUNDLED:
        return _load_bundled(bundled_path(name))
    if name not in DATASETS:
        raise unknown(name, names())
    return DATASETS[name].reader(fetch(name, data_dir, progress))


def load_table(name: str, data_dir: str | Path | None = None) -> Table:
    """`load` for a corpus that is a table. Raises OptionError when `name` is plain text."""
    corpus = load(name, data_dir)
    if not isinstance(corpus, Table):
        raise OptionError(f"Expected name to be a table of texts. Got {name!r}, which is plain text.")
    return corpus


def load_text(name: str, data_dir: str | Path | None = None) -> str:
    """`load` for plain text. Raises OptionError when `name` is a table."""
    corpus = load(name, data_dir)
    if not isinstance(corpus, str):
        raise OptionError(f"Expected name to be a plain text. Got {name!r}, which is a table.")
    return corpus


def python_docs() -> str:
    """The English prose of the help texts inside the running Python, one paragraph a line, each once.

    About 200,000 characters that every learner has without a network. They differ from one Python version to the next.
    Raises DataError where Python was installed without them.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise DataError("python-docs: This Python comes without pydoc_data. Use another corpus: stories.") from None
    blocks = (block for name in sorted(topics) for block in topics[name].split("\n\n"))
    paragraphs = (" ".join(block.split()) for block in blocks if "::=" not in block and ">>>" not in block)
    return "\n".join(dict.fromkeys(filter(_is_prose, paragraphs))) + "\n"


def _is_prose(paragraph: str) -> bool:
    # Grammar rules, tables and code do not begin like a sentence and end like one.
    words = paragraph.split()
    plain = sum(word.strip(",.;:()\"'").isalpha() for word in words)
    return len(words) >= 8 and paragraph[0].isupper() and paragraph[-1] in ".:" and plain >= 0.7 * len(words)


def _load_bundled(path: Path) -> Table | str:
    if path.suffix != ".csv":
        return path.read_text(encoding="utf-8")
    return read_csv(path, label=None if path.name == _BUNDLED["phrases_en_zh"] else "label")
