"""One file over HTTP: resumed after a break, watched for stalls, checked at the end, never half there."""

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DataError
from .registry import RemoteFile

# Called as progress(file name, bytes so far, bytes in all).
Progress = Callable[[str, int, int], None]

_BLOCK = 65536
_AGENT = {"User-Agent": "tinyslm (a teaching library; downloads of small data sets)"}


@dataclass(frozen=True)
class Limits:
    """How long to wait, in seconds, and how often to try.

    timeout: for a connection or for the next byte. stall: within this time at least `stall_bytes` must come.
    attempts: tries per address. pause: before the second try, doubled for each further one.
    """

    timeout: float = 20.0
    stall: float = 30.0
    stall_bytes: int = 4096
    attempts: int = 3
    pause: float = 1.0


class _Passing(Exception):
    """A failure that may be gone on the next try."""


class _Restart(_Passing):
    """What is there so far is of no use: the next try begins at the first byte."""


class _Final(Exception):
    """A failure of this address that another try would not cure."""


def download_file(
    file: RemoteFile,
    target: Path,
    progress: Progress | None = None,
    limits: Limits | None = None,
) -> Path:
    """Download `file` to `target`, by way of `target` + ".part", and return `target`.

    An interrupted download goes on where it stopped. Raises DataError with what happened at each address, and with
    the way to put the file there by hand.
    """
    part = target.with_name(target.name + ".part")
    with _disk_faults(file, target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        _check_space(file, target.parent)
        _from_any(file, part, progress, limits or Limits())
        part.replace(target)
    return target


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _from_any(file: RemoteFile, part: Path, progress: Progress | None, limits: Limits) -> None:
    faults = []
    for url in file.urls:
        fault = _from_one(file, url, part, progress, limits)
        if fault is None:
            return
        faults.append(f"{url}: {fault}")
    raise DataError(
        f"{file.name}: The download failed.\n  " + "\n  ".join(faults) + "\nCheck the network and try again"
        f"{' (the download goes on where it stopped)' if part.exists() else ''}, or put the file by hand at "
        f"{part.with_suffix('')}."
    )


def _from_one(file: RemoteFile, url: str, part: Path, progress: Progress | None, limits: Limits) -> str | None:
    """Try one address; None when the file is there, else what went wrong."""
    fault = "not tried"
    for attempt in range(limits.attempts):
        if attempt:
            time.sleep(limits.pause * 2 ** (attempt - 1))
        try:
            _transfer(file, url, part, progress, limits)
            return None
        except _Final as error:
            part.unlink(missing_ok=True)
            return str(error)
        except _Passing as error:
            fault = str(error)
            if isinstance(error, _Restart):
                part.unlink(missing_ok=True)
    return f"{fault} ({limits.attempts} tries)"


def _transfer(file: RemoteFile, url: str, part: Path, progress: Progress | None, limits: Limits) -> None:
    start = part.stat().st_size if part.exists() else 0
    if start > file.size:
        raise _Restart(f"the part that was there is longer than the {file.size:,} bytes of the file; it was removed")
    if start != file.size:
        with _network_faults(limits):
            response = _open(url, start, limits)
        with response:
            start = _accepted_start(response, start, file)
            _receive(response, part, start, file, progress, limits)
    _verify(file, part, resumed=start > 0)


def _verify(file: RemoteFile, part: Path, resumed: bool) -> None:
    found = file_sha256(part)
    if found == file.sha256:
        return
    # The fault may lie in the part that was there before; only a file from one piece condemns the server.
    fault = _Restart if resumed else _Final
    raise fault(f"expected the SHA-256 {file.sha256}, got {found}; the file was removed")


def _open(url: str, start: int, limits: Limits) -> Any:
    import urllib.request

    headers = _AGENT | ({"Range": f"bytes={start}-"} if start else {})
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=limits.timeout)


def _accepted_start(response: Any, start: int, file: RemoteFile) -> int:
    """Where the answer begins: at `start` when the server honours Range, else at 0."""
    partial = response.status == 206
    if partial and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        raise _Restart("the server answered with another part of the file than the one asked for")
    begin = start if partial else 0
    length = response.headers.get("Content-Length")
    if length is not None and begin + int(length) != file.size:
        raise _Final(f"expected a file of {file.size:,} bytes, got one of {begin + int(length):,}: not the same file")
    return begin


def _receive(
    response: Any, part: Path, start: int, file: RemoteFile, progress: Progress | None, limits: Limits
) -> None:
    done = start
    with part.open("ab" if start else "wb") as stream:
        for block in _watched(response, limits):
            stream.write(block)
            done += len(block)
            if done > file.size:
                break
            if progress is not None:
                progress(file.name, done, file.size)
    _check_length(done, file)


def _check_length(done: int, file: RemoteFile) -> None:
    if done < file.size:
        raise _Passing(f"the connection ended after {done:,} of {file.size:,} bytes")
    if done > file.size:
        raise _Restart(f"the server sent more than the expected {file.size:,} bytes: not the same file")


def _watched(response: Any, limits: Limits) -> Iterator[bytes]:
    # A timeout of the socket alone would let a server drip one byte at a time forever.
    since, received = time.monotonic(), 0
    while block := _read(response, limits):
        yield block
        received += len(block)
        now = time.monotonic()
        if received >= limits.stall_bytes:
            since, received = now, 0
        elif now - since > limits.stall:
            raise _Passing(f"stalled: only {received} bytes came in {limits.stall:g} s")


def _read(response: Any, limits: Limits) -> bytes:
    with _network_faults(limits):
        return response.read1(_BLOCK)


@contextmanager
def _network_faults(limits: Limits) -> Iterator[None]:
    """Turn what urllib and the sockets raise into _Passing or _Final with a sentence."""
    import http.client
    import urllib.error

    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        raise _http_fault(error.code, error.reason) from None
    except TimeoutError:
        raise _Passing(f"stalled: nothing came for {limits.timeout:g} s") from None
    except urllib.error.URLError as error:
        raise _url_fault(error.reason, limits) from None
    except (http.client.HTTPException, OSError) as error:
        raise _Passing(f"the connection broke ({type(error).__name__})") from None


def _http_fault(code: int, reason: str) -> Exception:
    text = f"the server answered {code} {reason}"
    if code == 416:  # the server does not have the bytes from there on
        return _Restart(text)
    return (_Passing if code in (408, 429) or code >= 500 else _Final)(text)


def _url_fault(reason: Any, limits: Limits) -> Exception:
    import socket
    import ssl

    if isinstance(reason, TimeoutError):
        return _Passing(f"no connection within {limits.timeout:g} s")
    if isinstance(reason, ssl.SSLCertVerificationError):
        return _Final(
            "the certificate of the server cannot be checked (on macOS, run 'Install Certificates.command' of Python)"
        )
    if isinstance(reason, socket.gaierror):
        return _Final("the address was not found: is there a network?")
    return _Passing(f"no connection: {getattr(reason, 'strerror', None) or reason}")


def _check_space(file: RemoteFile, folder: Path) -> None:
    if shutil.disk_usage(folder).free < file.size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def _disk_faults(file: RemoteFile, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
        cause = f"the disk is full; {file.size:,} bytes are needed" if full else str(error.strerror or error)
        raise DataError(
            f"{file.name}: The file cannot be written to {folder}: {cause}. Make room or allow writing there, or name "
            "a folder with a copy of the data by data_dir=... or the variable TINYSLM_DATA."
        ) from None
