"""Models and training states on the disk: numbers in safetensors, everything else in JSON.

    folder/model.safetensors             the weights, and a copy of the configuration
    folder/config.json                   "format_version", "kind", settings, tokenizer, labels
    folder/checkpoint/latest.json        names the last whole training state
    folder/checkpoint/00000012/          one training state: state.safetensors and state.json

A process may be killed at any moment. A model is switched by renaming `model.safetensors` alone: the configuration that
belongs to the weights travels in its header. Before that, `config.json` notes which configuration is about to follow it
("followed_by"). So a save that was cut short, after which the copy in the header counts, is told from a file that
belongs to another model, which is refused. A training state is written into a folder of its own and becomes the current
one when `latest.json` is renamed; what that file does not name is a leftover, and the next save removes it. One process
at a time writes to a folder.

Loading executes nothing: safetensors holds plain arrays and checks their sizes against the file before it makes them.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from .errors import CheckpointError
from .files import atomic_write, write_text

Arrays = Mapping[str, Any]
PathLike = str | os.PathLike[str]

FORMAT_VERSION = 1
WEIGHTS, CONFIG = "model.safetensors", "config.json"
STATE_ARRAYS, STATE, LATEST = "state.safetensors", "state.json", "latest.json"
HEADER_KEY = "tinyslm_config"
# Set here, whatever the caller put there.
OWN_KEYS = ("format_version", "tinyslm_version", "fingerprint", "followed_by", "warnings")

# -- a model ----------------------------------------------------------------------------------------------------------


def save_model(folder: PathLike, arrays: Arrays, config: Mapping[str, Any]) -> list[str]:
    """Write a model folder; a process killed meanwhile leaves the old model or the new one, whole.

    Args:
        folder: made if it is not there.
        arrays: name -> weights (NumPy arrays or tensors; bool, integers, float16 to float64).
        config: "kind" (text) and whatever else rebuilds the model: text, numbers, lists, dictionaries with text keys.
            The keys in OWN_KEYS are set here.

    Returns:
        Warnings about weights that are NaN or infinite; they also stand in `config.json` as "warnings".

    Raises:
        CheckpointError: nothing can be written there, the disk is full, or something can't be saved exactly.
    """
    if not isinstance(config.get("kind"), str):
        raise CheckpointError(
            f'A model needs a kind.\n  Expected: config["kind"] as text\n  Got: {config.get("kind")!r}'
        )
    path, plain = Path(folder), _savable(arrays)
    warnings = _not_finite(plain)
    text = _to_text(_stamped(config, warnings))
    own = {"fingerprint": _fingerprint(text)}
    with _explained("write", path):
        path.mkdir(parents=True, exist_ok=True)
        _remove_parts(path, WEIGHTS, CONFIG)
        _announce(path / CONFIG, own["fingerprint"])
        _write_arrays(path / WEIGHTS, plain, {HEADER_KEY: text})
        write_text(path / CONFIG, _to_text({**json.loads(text), **own}, indent=2))
        _sync_folder(path)
    return warnings


def _announce(path: Path, fingerprint: str) -> None:
    """Note in an older `config.json` that weights with another configuration are about to come."""
    try:
        config = _read_json(path) if path.is_file() else None
    except CheckpointError:  # it is damaged, and will be replaced
        config = None
    if config is not None:
        # A list, because saves may be cut short several times in a row.
        followers = [*_followers(config), fingerprint]
        write_text(path, _to_text({**config, "followed_by": followers}, indent=2))


def _followers(config: dict[str, Any]) -> list[Any]:
    found = config.get("followed_by")
    return found if isinstance(found, list) else []


def load_model(folder: PathLike, allow_not_finite: bool = False) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a model folder: (weights by name, configuration).

    Args:
        folder: what `save_model` wrote.
        allow_not_finite: also give weights that hold NaN or infinite numbers, to look at them.

    Raises:
        CheckpointError: the folder is missing or no model folder, a file is damaged or belongs to another model, the
            format version is another, or weights are not finite.
    """
    path = Path(folder)
    _check_model_folder(path)
    with _explained("read", path):
        arrays, header = _read_arrays(path / WEIGHTS)
        config = _matching_config(path / CONFIG, header.get(HEADER_KEY))
    _check_version(config, path / CONFIG)
    if not isinstance(config.get("kind"), str):
        raise CheckpointError(f'{path / CONFIG} does not say which model this is. Expected: "kind" as text')
    if not allow_not_finite:
        _refuse_not_finite(arrays, path / WEIGHTS)
    return arrays, {key: value for key, value in config.items() if key not in ("fingerprint", "followed_by")}


def _refuse_not_finite(arrays: dict[str, np.ndarray], path: Path) -> None:
    bad = _not_finite(arrays)
    if bad:
        more = f"; and {len(bad) - 3} more arrays" if len(bad) > 3 else ""
        raise CheckpointError(
            f"{path}: this model can't be used.\n  Expected: finite weights\n  Got: {'; '.join(bad[:3])}{more}\n"
            "  Train it again, with a smaller learning rate or clipped gradients, or take an older copy; to look at the"
            " weights: tinyslm.checkpoint.load_model(folder, allow_not_finite=True)"
        )


def _check_model_folder(path: Path) -> None:
    if not path.is_dir():
        what = "a file" if path.exists() else "nothing"
        raise CheckpointError(f"There is no model folder here.\n  Expected: a folder\n  Got: {what} at {path}")
    if not (path / WEIGHTS).is_file():
        raise CheckpointError(
            f"{path} is not a model folder.\n  Expected: {WEIGHTS} and {CONFIG} in it\n"
            f"  Got: no {WEIGHTS}; give the folder that training wrote, not one above or below it"
        )


def _matching_config(path: Path, copy: str | None) -> dict[str, Any]:
    """`config.json`, edits included; after a save that was cut short between the files, the copy in the header."""
    if not path.is_file() and copy is None:
        raise CheckpointError(
            f"{path.parent} is not a model folder.\n  Expected: {CONFIG} beside {WEIGHTS}\n  Got: none"
        )
    if copy is None:
        return _read_json(path)
    if path.is_file():
        config = _read_json(path, f"correct it, or delete it: {WEIGHTS} holds a copy")
        mine = _fingerprint(copy)
        if config.get("fingerprint", mine) == mine:
            return config
        if mine not in _followers(config):
            raise CheckpointError(_of_another_model(path, config, copy))
    return _parse_json(copy, path.with_name(WEIGHTS), "save the model again")


def _of_another_model(path: Path, config: dict[str, Any], copy: str) -> str:
    theirs = _parse_json(copy, path.with_name(WEIGHTS), "save the model again")
    names = sorted(k for k in {*config, *theirs} - {*OWN_KEYS} if config.get(k) != theirs.get(k))
    differs = f" (they differ in {', '.join(names)})" if names else ""
    return (
        f"{path.parent}: {CONFIG} and {WEIGHTS} are of different models.\n"
        f"  Expected: the configuration that {WEIGHTS} was saved with; it holds a copy\n"
        f"  Got: another one{differs}\n"
        f"  Copy both files of one model into the folder, or delete {CONFIG} to go by the copy in {WEIGHTS}."
    )


def _stamped(values: Mapping[str, Any], warnings: list[str]) -> dict[str, Any]:
    from . import __version__

    head = {"format_version": FORMAT_VERSION, "tinyslm_version": __version__}
    rest = {key: value for key, value in values.items() if key not in OWN_KEYS}
    return {**head, **rest, **({"warnings": warnings} if warnings else {})}


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


# -- the state of a training run --------------------------------------------------------------------------------------


def save_state(folder: PathLike, arrays: Arrays, state: Mapping[str, Any]) -> list[str]:
    """Write a training state into `folder`/checkpoint; until the last rename the one before stays the current one.

    Args:
        folder: the model folder; made if it is not there.
        arrays: name -> weights and optimizer arrays.
        state: step, epoch, `rng.bit_generator.state`, position in the data, history: text, numbers (integers of any
            size, NaN and infinity too), lists, dictionaries with text keys. Arrays and tuples come back as lists.
            The keys in OWN_KEYS are set here.

    Returns:
        Warnings about arrays with NaN or infinite numbers; the loaded state has them as "warnings".

    Raises:
        CheckpointError: nothing can be written there, the disk is full, or something can't be saved exactly.
    """
    plain = _savable(arrays)
    warnings = _not_finite(plain)
    text = _to_text(_stamped(state, warnings))
    home = Path(folder) / "checkpoint"
    with _explained("write", home):
        home.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(home)
        try:
            _write_and_switch(home, plain, text)
        finally:
            _remove_leftovers(home)
    return warnings


def _write_and_switch(home: Path, arrays: dict[str, np.ndarray], text: str) -> None:
    new = home / f"{max((int(p.name) for p in _numbered(home)), default=0) + 1:08d}"
    new.mkdir()
    _write_arrays(new / STATE_ARRAYS, arrays)
    write_text(new / STATE, text)
    _sync_folder(new)
    _sync_folder(home)
    write_text(home / LATEST, _to_text({"format_version": FORMAT_VERSION, "folder": new.name}))
    _sync_folder(home)


def load_state(folder: PathLike) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """Read the last whole training state in `folder`: (arrays by name, state), or None where there is none.

    Raises:
        CheckpointError: a file is damaged or missing, or the format version is another.
    """
    home = Path(folder) / "checkpoint"
    with _explained("read", home):
        name = _current(home)
        if name is None:
            return None
        if not (home / name).is_dir():
            raise CheckpointError(f"{home / LATEST} names {name}, which is not there. {_start_anew(home)}")
        state = _read_json(home / name / STATE, _start_anew(home))
        _check_version(state, home / name / STATE)
        arrays, _ = _read_arrays(home / name / STATE_ARRAYS, _start_anew(home))
    return arrays, {key: value for key, value in state.items() if key not in ("format_version", "tinyslm_version")}


def _current(home: Path) -> str | None:
    """The folder that is the current state; None if no state was ever completed."""
    latest = home / LATEST
    if not latest.is_file():
        return None
    pointer = _read_json(latest, _start_anew(home))
    _check_version(pointer, latest)
    name = pointer.get("folder")
    if not isinstance(name, str) or not re.fullmatch(r"\d{8,}", name):
        raise CheckpointError(f"{latest} is damaged: expected the name of a folder, got {name!r}. {_start_anew(home)}")
    return name


def _remove_leftovers(home: Path) -> None:
    """Remove what a killed or failed save left, and older states; nothing while the current one is in doubt."""
    try:
        keep = _current(home)
    except (CheckpointError, OSError):
        return
    for path in _numbered(home):
        if path.name != keep:
            shutil.rmtree(path, ignore_errors=True)  # a file that is still open elsewhere goes the next time
    _remove_parts(home, LATEST)


def _numbered(home: Path) -> list[Path]:
    return [p for p in home.iterdir() if re.fullmatch(r"[0-9]{8,}", p.name) and p.is_dir()]


def _start_anew(home: Path) -> str:
    return f"Delete {home} to train on from the model's weights without the old state."


# -- arrays -----------------------------------------------------------------------------------------------------------


def _savable(arrays: Arrays) -> dict[str, np.ndarray]:
    return {_array_name(name): _savable_array(name, value) for name, value in arrays.items()}


def _array_name(name: Any) -> str:
    if not isinstance(name, str) or name in ("", "__metadata__"):
        raise CheckpointError(
            f"An array needs a name.\n  Expected: text, not empty, not '__metadata__'\n  Got: {name!r}"
        )
    return name


def _savable_array(name: str, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise CheckpointError(
            f"The array {name!r} can't be saved.\n  Expected: bool, integers, float16, float32 or float64\n"
            f"  Got: {array.dtype}; put text and settings into the configuration"
        )
    # safetensors writes the memory as it lies, so a transposed view would come back scrambled.
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def _not_finite(arrays: dict[str, np.ndarray]) -> list[str]:
    counts = {n: int(a.size - np.isfinite(a).sum()) for n, a in arrays.items() if a.dtype.kind == "f"}
    return [f"{n}: {bad} of {arrays[n].size} numbers are NaN or infinite" for n, bad in counts.items() if bad]


def _write_arrays(path: Path, arrays: dict[str, np.ndarray], header: dict[str, str] | None = None) -> None:
    from safetensors.numpy import save

    data = save(arrays, metadata=header)
    with atomic_write(path) as file:
        file.write(data)


def _read_arrays(path: Path, remedy: str = "") -> tuple[dict[str, np.ndarray], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            arrays = {name: np.require(file.get_tensor(name), requirements="W") for name in file.keys()}  # noqa: SIM118
            for a in arrays.values():
                if a.dtype.kind == "V":
                    raise TypeError(a.dtype)
            return arrays, file.metadata() or {}
    except (TypeError, AttributeError) as error:
        # bfloat16, say: NumPy does not have it, or has it from another package and no operation knows it.
        raise CheckpointError(f"{path} holds numbers of a type unknown here ({error}); save it as float32") from error
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} is damaged or cut short.\n  Expected: a whole safetensors file\n"
            f"  Got: {path.stat().st_size} bytes, {error}\n  {remedy or 'Copy it again, or save the model again.'}"
        ) from error


# -- everything else --------------------------------------------------------------------------------------------------


def _to_text(value: Any, indent: int | None = None) -> str:
    plain = _plain(value, "")
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False, indent=indent)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # half characters, as byte-level tokens may hold
        return json.dumps(plain, allow_nan=False, indent=indent)
    return text


def _plain(value: Any, where: str) -> Any:
    """`value` in JSON's types. Lone NaN and infinities, which JSON lacks, become {"__float__": "nan"}."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"__float__": str(value)}
    if isinstance(value, Mapping):
        return {_key(k, where): _plain(v, f"{where}.{k}") for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v, f"{where}[{i}]") for i, v in enumerate(value)]
    raise CheckpointError(
        f"{where.lstrip('.')} can't be saved.\n  Expected: text, numbers, lists, dictionaries\n"
        f"  Got: {type(value).__name__}; arrays of weights belong into `arrays`"
    )


def _key(key: Any, where: str) -> str:
    if not isinstance(key, str) or key == "__float__":
        raise CheckpointError(
            f"A key of {where.lstrip('.') or 'the dictionary'} can't be saved.\n  Expected: text, as JSON wants it\n"
            f"  Got: {key!r}; use str(key), or a list of pairs"
        )
    return key


def _read_json(path: Path, remedy: str = "") -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path} is damaged: it is not UTF-8 text ({error}). {remedy}") from error
    return _parse_json(text, path, remedy)


def _parse_json(text: str, path: Path, remedy: str) -> dict[str, Any]:
    try:
        value = json.loads(text, object_hook=_restore_float)
    except (ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is damaged or was edited wrongly.\n  Expected: JSON\n  Got: {error}\n  {remedy}"
        ) from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: expected a JSON object, got {type(value).__name__}. {remedy}")
    return value


def _restore_float(value: dict[str, Any]) -> Any:
    return float(value["__float__"]) if value.keys() == {"__float__"} else value


def _check_version(values: dict[str, Any], path: Path) -> None:
    version = values.get("format_version")
    if type(version) is not int:  # True is an int to isinstance
        raise CheckpointError(
            f'{path} has no usable "format_version".\n  Expected: the integer {FORMAT_VERSION}\n'
            f"  Got: {version!r}; was this folder written by tinyslm?"
        )
    if version != FORMAT_VERSION:
        newer = version > FORMAT_VERSION
        raise CheckpointError(
            f"{path} has {'a newer' if newer else 'an older'} format.\n  Expected: format_version {FORMAT_VERSION}\n"
            f"  Got: {version}, written by tinyslm {values.get('tinyslm_version', 'of unknown version')}; "
            + ("update tinyslm" if newer else "load and save it with a version of tinyslm that reads it")
        )


# -- the file system --------------------------------------------------------------------------------------------------

REASONS = {
    errno.ENOSPC: "The disk is full. Free some space, or choose a folder on another disk",
    getattr(errno, "EDQUOT", -1): "Your quota on this disk is used up. Free some space, or choose another folder",
    errno.EACCES: "Permission was denied. Choose a folder of your own, or change its permissions",
    errno.EPERM: "Permission was denied. Choose a folder of your own, or change its permissions",
    errno.EROFS: "This file system is read-only. Choose another folder",
    errno.EEXIST: "A file stands where a folder is needed. Choose another name",
    errno.ENOTDIR: "A file stands where a folder is needed. Choose another name",
    errno.ENOENT: "A file is missing. Was it removed or renamed meanwhile?",
}


@contextmanager
def _explained(verb: str, path: Path) -> Iterator[None]:
    """Turn the operating system's errors into ones that say what to do."""
    try:
        yield
    except OSError as error:
        code = errno.ENOENT if isinstance(error, FileNotFoundError) else error.errno or 0
        reason = REASONS.get(code, "The system refused")
        kept = "; no half-written file is left" if verb == "write" else ""
        raise CheckpointError(f"Can't {verb} {error.filename or path}{kept}.\n  {reason}.\n  Got: {error}") from error


def _remove_parts(folder: Path, *names: str) -> None:
    """Remove temporary files that a killed process left beside `names`."""
    for name in names:
        for part in folder.glob(f".{name}.*.part"):
            with suppress(OSError):
                part.unlink()


def _sync_folder(folder: Path) -> None:
    """Make renames survive a power cut, where the system can (POSIX); a killed process does not need it."""
    if os.name != "posix":
        return
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
