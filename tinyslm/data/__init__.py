"""Corpora and what happens to them before training: reading, dividing, putting into batches."""

from .batches import Batches, batches
from .corpora import bundled_path, load, load_table, load_text, names
from .csvfile import read_csv
from .download import DATASETS, cache_dir, fetch
from .encodings import decode
from .registry import Dataset, RemoteFile
from .split import check_leak, drop_duplicates, stratified_split
from .table import Table
from .transfer import Limits

__all__ = [
    "DATASETS",
    "Batches",
    "Dataset",
    "Limits",
    "RemoteFile",
    "Table",
    "batches",
    "bundled_path",
    "cache_dir",
    "check_leak",
    "decode",
    "drop_duplicates",
    "fetch",
    "load",
    "load_table",
    "load_text",
    "names",
    "read_csv",
    "stratified_split",
]
