"""Getting public data sets by name: from a local copy, from the cache, or from the network with a checksum."""

import os
from pathlib import Path

from ..errors import DataError
from .registry import DATASETS, Dataset, RemoteFile, find
from .transfer import Limits, Progress, download_file, file_sha256

__all__ = ["DATASETS", "DATA_VARIABLE", "cache_dir", "fetch"]

# The environment variable that names a folder with local copies, one folder per data set.
DATA_VARIABLE = "TINYSLM_DATA"


def cache_dir() -> Path:
    """The folder for downloads of this user on this machine, as the system wants it; it may not exist yet."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("tinyslm", appauthor=False)) / "data"


def fetch(
    name: str,
    data_dir: str | Path | None = None,
    progress: Progress | None = None,
    limits: Limits | None = None,
) -> Path:
    """The folder that holds the files of the data set `name`, downloaded first when it must be.

    data_dir: a folder with local copies, one folder per data set (`data_dir/names/names.txt`); by default the one that
    the environment variable TINYSLM_DATA names. It is only read, never written. Without one the cache serves.
    progress: called as progress(file name, bytes so far, bytes in all). limits: waiting times and attempts.

    Every file is checked against its SHA-256 at each call. Raises OptionError for an unknown name, DataError when a
    file is missing from the local copy, cannot be downloaded, or is not the file it should be.
    """
    dataset = find(name)
    local = data_dir if data_dir is not None else os.environ.get(DATA_VARIABLE)
    if local:
        return _local_copy(dataset, Path(local))
    folder = cache_dir() / name
    for file in dataset.files:
        _ensure(file, folder, progress, limits or Limits())
    return folder


def _local_copy(dataset: Dataset, root: Path) -> Path:
    folder = root / dataset.name
    for file in dataset.files:
        path = folder / file.name
        if not path.is_file():
            raise DataError(
                f"{path}: Expected a local copy of the data set {dataset.name!r}. There is no such file. Put it there "
                f"(from {file.urls[0]}), or download it by leaving out data_dir and the variable {DATA_VARIABLE}."
            )
        if file_sha256(path) != file.sha256:
            raise DataError(
                f"{path}: Expected the file with the SHA-256 {file.sha256}. Got another content. Replace the file by "
                f"{file.urls[0]} (it was left as it was)."
            )
    return folder


def _ensure(file: RemoteFile, folder: Path, progress: Progress | None, limits: Limits) -> None:
    path = folder / file.name
    if path.is_file() and file_sha256(path) == file.sha256:
        return
    # A cached file with another checksum was damaged on the disk: it is fetched anew.
    path.unlink(missing_ok=True)
    download_file(file, path, progress, limits)
