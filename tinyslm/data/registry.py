"""The public data sets that can be had by name: where they lie, what they weigh, whom they belong to."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import OptionError, did_you_mean
from . import readers
from .table import Table


@dataclass(frozen=True)
class RemoteFile:
    """One file: its name, the addresses that serve it, its SHA-256 in hexadecimal, its size in bytes."""

    name: str
    urls: tuple[str, ...]
    sha256: str
    size: int


@dataclass(frozen=True)
class Dataset:
    """One data set. `reader` turns the folder that holds `files` into a Table, or into a string for plain text."""

    name: str
    files: tuple[RemoteFile, ...]
    licence: str
    citation: str
    reader: Callable[[Path], Table | str]
    note: str = ""

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)


def _github(repository: str, commit: str, path: str, sha256: str, size: int) -> RemoteFile:
    # A commit never changes, so neither does the file; the second address is a mirror of the same commit.
    urls = (
        f"https://raw.githubusercontent.com/{repository}/{commit}/{path}",
        f"https://cdn.jsdelivr.net/gh/{repository}@{commit}/{path}",
    )
    return RemoteFile(path.rsplit("/", 1)[-1], urls, sha256, size)


_ALL = (
    Dataset(
        name="tinyshakespeare",
        files=(
            _github(
                "karpathy/char-rnn",
                "6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e",
                "data/tinyshakespeare/input.txt",
                "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
                1_115_394,
            ),
        ),
        licence="public domain (text); MIT (repository)",
        citation="William Shakespeare, put together by A. Karpathy, github.com/karpathy/char-rnn, 2015.",
        reader=readers.plain_text("input.txt"),
    ),
    Dataset(
        name="names",
        files=(
            _github(
                "karpathy/makemore",
                "988aa59e4d8fefa526d06f3b453ad116258398d4",
                "names.txt",
                "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d",
                228_145,
            ),
        ),
        licence="US government data; MIT (repository)",
        citation="US Social Security Administration, given names of 2018, github.com/karpathy/makemore.",
        reader=readers.plain_text("names.txt"),
        note="32,033 given names, one a line.",
    ),
    Dataset(
        name="mr_polarity",
        files=(
            _github(
                "yoonkim/CNN_sentence",
                "23e0e1f7355705bb083043fda05c031b15acb38c",
                "rt-polarity.pos",
                "2da124ec187a9d5a29c9f04e91c540e02baed5af8868f550a26bd6fd4dbf8bf0",
                626_139,
            ),
            _github(
                "yoonkim/CNN_sentence",
                "23e0e1f7355705bb083043fda05c031b15acb38c",
                "rt-polarity.neg",
                "4ace77d558c3714723843f1d65b60c01e3417b208180f0728808d76ad0eeeaca",
                612_256,
            ),
        ),
        licence="CC BY 4.0 (as recorded by NLTK data)",
        citation="B. Pang and L. Lee, Seeing stars, ACL 2005.",
        reader=readers.movie_reviews,
        note="10,662 sentences of film reviews; 7,528 are also in SST-2: never train on one, test on the other.",
    ),
    Dataset(
        name="sms_spam",
        files=(
            _github(
                "justmarkham/pycon-2016-tutorial",
                "5339710562cc46c4a32a369d63f1e8751a18a54e",
                "data/sms.tsv",
                "7d039a24a6083ed9ef0f806ebad56bbb976e3aeb8de05669173bfdc4996c239d",
                477_907,
            ),
        ),
        licence="free for all purposes (announcement of the authors)",
        citation="T. Almeida, J. M. Gomez Hidalgo and A. Yamakami, DocEng 2011, doi.org/10.24432/C5CC84.",
        reader=readers.sms,
        note="5,574 messages, 4,827 ham and 747 spam. Some spam is crude.",
    ),
    Dataset(
        name="chnsenticorp_htl",
        files=(
            _github(
                "SophonPlus/ChineseNlpCorpus",
                "a0b781d72158bde242c0626c9e354d2b328865ff",
                "datasets/ChnSentiCorp_htl_all/ChnSentiCorp_htl_all.csv",
                "1d414b9c65caf3a836abdb4efded621968502ad3338e1a9d885ae131c86083f0",
                2_904_858,
            ),
        ),
        licence="none stated; published for research, do not pass it on",
        citation="Tan Songbo, ChnSentiCorp_htl, hotel reviews; github.com/SophonPlus/ChineseNlpCorpus.",
        reader=readers.hotel_reviews,
        note="7,765 Chinese hotel reviews with a text, 5,322 of them positive.",
    ),
)

DATASETS: dict[str, Dataset] = {dataset.name: dataset for dataset in _ALL}


def find(name: str) -> Dataset:
    """The record of a public data set. Raises OptionError with the known and the nearest names for any other."""
    if name not in DATASETS:
        raise unknown(name, list(DATASETS))
    return DATASETS[name]


def unknown(name: str, known: list[str]) -> OptionError:
    """The error for a name that is not in `known`, with the nearest ones."""
    meant = did_you_mean(name, known)
    if Path(name).suffix:
        meant += f" A file of your own is read by tinyslm.data.read_csv({name!r})."
    return OptionError(f"Expected the name of a data set: {', '.join(known)}. Got {name!r}.{meant}")
