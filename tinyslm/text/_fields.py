"""Checks that the text tools share: of the arguments people pass, and of the JSON read back from a model folder."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..errors import CheckpointError, DataError, OptionError

FORMAT_VERSION = 1


def require_text(value: object, name: str = "text") -> str:
    """Return `value` if it is a str; otherwise a DataError that says how to get one."""
    if isinstance(value, str):
        return value
    hint = ": decode it first, for example value.decode('utf-8')" if isinstance(value, bytes | bytearray) else ""
    raise DataError(f"Expected {name} as str. Got {type(value).__name__}{hint}.")


def require_many(values: object, name: str) -> Iterable[Any]:
    """Return `values` if it is a collection; refuse a single string, which would fall apart into letters."""
    if isinstance(values, str | bytes | bytearray) or not isinstance(values, Iterable):
        raise DataError(f"Expected {name} as a list. Got {type(values).__name__}: put a single one into a list.")
    return values


def each_text(texts: object, name: str = "texts") -> Iterator[str]:
    """Go through a collection of strings; DataError for a single string, or at the first that is none."""
    return _each_text(require_many(texts, name), name)


def _each_text(values: Iterable[Any], name: str) -> Iterator[str]:
    # Every token of a text comes through here: the name of one is only put together where it is needed.
    for i, value in enumerate(values):
        yield value if isinstance(value, str) else require_text(value, f"{name}[{i}]")


def one_or_many(texts: object) -> Iterator[str]:
    """Go through one text or an iterable of texts."""
    return iter((texts,)) if isinstance(texts, str) else each_text(texts, "text")


def require_choice(value: object, name: str, choices: tuple[Any, ...]) -> None:
    """Raise an OptionError unless `value` is one of `choices`."""
    if value not in choices:
        raise OptionError(f"Expected {name} to be one of {', '.join(map(repr, choices))}. Got {value!r}.")


def require_specials(values: Iterable[str]) -> tuple[str, ...]:
    """Return the special tokens as a tuple of different, non-empty strings; otherwise an OptionError."""
    specials = tuple(each_text(values, "specials"))
    if "" in specials or len(set(specials)) < len(specials):
        raise OptionError(f"Expected specials to be different and not empty. Got {list(specials)}.")
    return specials


def read_header(data: object, kind: str) -> Mapping[str, Any]:
    """Check that `data` is a saved object of this kind and format, and return it."""
    if not isinstance(data, Mapping):
        raise CheckpointError(f"Expected a saved {kind} as a dict. Got {type(data).__name__}: read it with json.load.")
    if data.get("type") != kind:
        raise CheckpointError(f"Expected a saved {kind}, 'type': {kind!r}. Got 'type': {data.get('type')!r}.")
    version = data.get("format_version")
    if version is not FORMAT_VERSION:
        raise CheckpointError(
            f"Expected format_version {FORMAT_VERSION} in the saved {kind}. Got {version!r}: "
            "it was written by another version of tinyslm, or changed since."
        )
    return data


def read_field(data: Mapping[str, Any], name: str, kind: type) -> Any:
    """Return data[name] if it is there and of exactly this type; otherwise a CheckpointError."""
    if name not in data:
        raise CheckpointError(f"Expected the field {name!r} in the saved {data.get('type')}. It is missing.")
    if type(data[name]) is not kind:
        got = type(data[name]).__name__
        raise CheckpointError(f"Expected {name!r} in the saved {data.get('type')} as {kind.__name__}. Got {got}.")
    return data[name]


def read_list(data: Mapping[str, Any], name: str, kind: type) -> list[Any]:
    """Return data[name] if it is a list of this type throughout; otherwise a CheckpointError."""
    values = read_field(data, name, list)
    for i, value in enumerate(values):
        if type(value) is not kind:
            raise CheckpointError(f"Expected {name}[{i}] as {kind.__name__}. Got {value!r}.")
    return values
