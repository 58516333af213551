"""Turning bytes into text, and saying exactly which encoding to ask for when that fails."""

import codecs
import re

from ..errors import DataError, OptionError

# The longer mark comes first: a UTF-32 mark begins like a UTF-16 one.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode(data: bytes, encoding: str = "utf-8", where: str = "the text") -> str:
    """Decode `data`; a UTF-8 byte order mark is dropped in silence.

    `where` names the source in messages. Raises DataError for bytes that do not fit `encoding`, with the line of the
    first one and the encoding they look like; OptionError for an encoding that Python does not know.
    """
    codec = _codec(encoding)
    if codec == "utf-8" and byte_order_mark(data) == "utf-8-sig":
        codec = "utf-8-sig"
    try:
        return data.decode(codec)
    except UnicodeDecodeError as error:
        raise DataError(_explain(data, error, encoding, where)) from None


def byte_order_mark(data: bytes) -> str | None:
    """The encoding that the first bytes announce, or None."""
    return next((name for mark, name in _MARKS if data.startswith(mark)), None)


def guess(data: bytes) -> str | None:
    """The encoding that `data` looks like: "utf-8", "utf-16", "gb18030", "cp1252", or None when nothing fits.

    A guess for messages only; no data are ever read by it.
    """
    tests = (
        (byte_order_mark(data), True),
        ("utf-16", _many_zero_bytes(data)),
        ("utf-8", _fits(data, "utf-8")),
        ("gb18030", _high_bytes_in_pairs(data) and _fits(data, "gb18030")),
        ("cp1252", _fits(data, "cp1252")),
    )
    return next((name for name, yes in tests if name and yes), None)


def _codec(encoding: str) -> str:
    try:
        info = codecs.lookup(encoding)
        "".encode(info.name)  # refuses codecs such as base64, which are no text encodings
    except (LookupError, ValueError):
        raise OptionError(
            f"Expected an encoding that Python knows, such as utf-8, gb18030 or cp1252. Got {encoding!r}."
        ) from None
    return info.name


def _explain(data: bytes, error: UnicodeDecodeError, encoding: str, where: str) -> str:
    line = data.count(b"\n", 0, error.start) + 1
    found = f"{where}, line {line}: Expected text in {encoding}. Got the byte 0x{data[error.start]:02x}, which is not."
    return f"{found} {_advice(data, encoding)}"


def _advice(data: bytes, encoding: str) -> str:
    if _damaged_utf8(data):
        return "The rest of the file is UTF-8, so this line is damaged: repair it."
    looks = guess(data)
    if looks != "utf-16" and byte_order_mark(data) is None and _many_controls(data):
        return "This is probably no text file (a spreadsheet must be exported as CSV)."
    if looks is None or looks == _codec(encoding):
        return "Find out how the file was saved, and pass that with encoding=... (--encoding ...)."
    return f"The file looks like {looks}: pass encoding={looks!r} (--encoding {looks})."


def _damaged_utf8(data: bytes) -> bool:
    text = data.decode("utf-8", errors="replace")
    broken = text.count("\ufffd")
    whole = sum(character > "\x7f" for character in text) - broken
    return whole > 10 * broken > 0


def _fits(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _many_zero_bytes(data: bytes) -> bool:
    sample = data[:4096]
    return sample.count(0) > len(sample) // 4


def _many_controls(data: bytes) -> bool:
    # Random bytes have a tenth of these, a text in any encoding of single bytes or Chinese pairs almost none.
    sample = data[:4096]
    return sum(byte < 32 and byte not in b"\t\n\f\r" for byte in sample) > len(sample) // 20


def _high_bytes_in_pairs(data: bytes) -> bool:
    # A Chinese character of GB 2312 is two bytes above 0xa0; an accented letter of a Western text stands alone.
    runs = re.findall(rb"[\x81-\xfe]+", data[:65536])
    paired = sum(len(run) for run in runs if len(run) >= 2)
    return bool(runs) and paired > 0.7 * sum(map(len, runs))
