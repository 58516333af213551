"""The C library keeps freed memory where it can be told to, and nothing else is touched where it can't."""

import ctypes
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from tinyslm.kernels.cpu import _malloc

MMAP, TRIM = -3, -1  # of glibc's malloc.h

FAULTS = """
import resource
import numpy as np
import tinyslm.kernels.cpu

def touch():
    np.empty(1 << 20, np.uint8).fill(1)

touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    touch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.fixture
def library(monkeypatch):
    """A C library that writes down what it is told; `takes` says which settings it accepts."""
    told = []
    fake = SimpleNamespace(told=told, takes=lambda name, value: True, gnu_get_libc_version=lambda: b"2.36")
    fake.mallopt = lambda name, value: told.append((name, value)) or int(fake.takes(name, value))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: fake)
    monkeypatch.delenv("TINYSLM_KEEP_MEMORY", raising=False)
    return fake


def test_both_thresholds_are_raised(library):
    assert _malloc.keep_memory()
    assert library.told == [(MMAP, 1 << 30), (TRIM, 1 << 30)]


def test_an_older_library_gets_a_threshold_that_it_takes(library):
    library.takes = lambda name, value: name == TRIM or value <= 1 << 25
    assert _malloc.keep_memory()
    assert library.told == [(MMAP, 1 << 30), (MMAP, 1 << 25), (TRIM, 1 << 30)]


@pytest.mark.parametrize("refused", [MMAP, TRIM])
def test_a_refusal_is_told(library, refused):
    library.takes = lambda name, value: name != refused
    assert not _malloc.keep_memory()


def test_switched_off(library, monkeypatch):
    monkeypatch.setenv("TINYSLM_KEEP_MEMORY", "0")
    assert not _malloc.keep_memory()
    assert library.told == []


def test_another_c_library_is_left_alone(library):
    del library.gnu_get_libc_version
    assert not _malloc.keep_memory()
    assert library.told == []


@pytest.mark.parametrize("error", [OSError, TypeError])  # Windows
def test_no_c_library_under_this_name(monkeypatch, error):
    def refuse(name):
        raise error

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    assert not _malloc.keep_memory()


@pytest.mark.skipif(not _malloc.keep_memory(), reason="needs glibc, and TINYSLM_KEEP_MEMORY not set to 0")
def test_memory_that_was_freed_comes_back_without_page_faults():
    def faults(**more):
        out = subprocess.run([sys.executable, "-c", FAULTS], env={**os.environ, **more}, capture_output=True, text=True)
        return int(out.stdout)

    assert faults() < 50  # a page holds 4 KB or more: 50 times 1 MB has up to 12,800
    assert faults(TINYSLM_KEEP_MEMORY="0") >= 50
