"""Downloads against a local server that serves well and badly."""

import errno
import hashlib
import time
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import pytest

from tinyslm.data import DATASETS, Limits, RemoteFile, cache_dir, download, fetch, transfer
from tinyslm.data.transfer import download_file
from tinyslm.errors import DataError, OptionError

BODY = bytes(range(256)) * 1200
LIMITS = Limits(timeout=0.3, stall=0.25, stall_bytes=1000, attempts=3, pause=0.01)


class Handler(BaseHTTPRequestHandler):
    """What is served depends on the path: /good, /truncated, /corrupt ..."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.requests.append((self.path, self.headers.get("Range")))
        getattr(self, self.path.strip("/"))()

    def start(self, default=0):
        asked = self.headers.get("Range")
        return int(asked[6:-1]) if asked else default

    def reply(self, body, start=0, length=None, headers=()):
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(BODY) - 1}/{len(BODY)}")
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def good(self):
        self.reply(BODY[self.start() :], self.start())

    def ignores_range(self):
        self.reply(BODY)

    def wrong_range(self):
        self.reply(BODY[7:] if self.start() else BODY, 7 if self.start() else 0)

    def truncated(self):
        rest = BODY[self.start() :]
        self.reply(rest[:100_000], self.start(), len(rest))

    def always_truncated(self):
        rest = BODY[self.start() :]
        self.reply(rest[:10], self.start(), len(rest))

    def corrupt(self):
        self.reply(bytes(len(BODY))[self.start() :], self.start())

    def other(self):
        self.reply(b"<html>log in to the network</html>")

    def endless(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(BODY + BODY)

    def silent(self):
        self.server.over.wait(2)

    def stalls(self):
        self.reply(BODY[:50_000], 0, len(BODY))
        self.wfile.flush()
        self.server.over.wait(2)

    def drips(self):
        self.reply(BODY[:1], 0, len(BODY))
        while not self.server.over.wait(0.02):
            self.wfile.write(b"x")

    def busy_once(self):
        if len(self.server.requests) == 1:
            self.send_error(503)
        else:
            self.good()

    def refuses_range(self):
        if self.start():
            self.send_error(416)
        else:
            self.good()

    def missing(self):
        self.send_error(404)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None
    server.requests, server.over = [], Event()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def remote(server):
    def make(*paths):
        urls = tuple(f"http://127.0.0.1:{server.server_port}/{path}" for path in paths)
        return RemoteFile("body.bin", urls, hashlib.sha256(BODY).hexdigest(), len(BODY))

    return make


@pytest.fixture
def target(tmp_path):
    return tmp_path / "deep" / "body.bin"


def fault(file, target, limits=LIMITS):
    with pytest.raises(DataError) as caught:
        download_file(file, target, limits=limits)
    assert not target.exists()
    return str(caught.value)


def part_of(target, content):
    target.parent.mkdir()
    target.with_name("body.bin.part").write_bytes(content)


def test_a_good_server(remote, target):
    steps = []
    assert download_file(remote("good"), target, lambda *step: steps.append(step), LIMITS) == target
    assert target.read_bytes() == BODY
    assert [path.name for path in target.parent.iterdir()] == ["body.bin"]
    assert steps[-1] == ("body.bin", len(BODY), len(BODY))
    assert [step[1] for step in steps] == sorted(step[1] for step in steps)


def test_a_truncated_answer_is_resumed(remote, server, target):
    download_file(remote("truncated"), target, limits=replace(LIMITS, attempts=4))
    assert target.read_bytes() == BODY
    assert [asked for _, asked in server.requests] == [None, "bytes=100000-", "bytes=200000-", "bytes=300000-"]


def test_a_part_of_an_earlier_run_is_used(remote, server, target):
    part_of(target, BODY[:1000])
    download_file(remote("good"), target, limits=LIMITS)
    assert target.read_bytes() == BODY
    assert server.requests == [("/good", "bytes=1000-")]


@pytest.mark.parametrize("path", ["ignores_range", "wrong_range", "refuses_range"])
def test_servers_without_range(remote, target, path):
    part_of(target, BODY[:1000])
    download_file(remote(path), target, limits=LIMITS)
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("content", [b"x" * 1000, b"x" * len(BODY), b"x" * (len(BODY) + 5)])
def test_a_useless_part_is_thrown_away(remote, target, content):
    part_of(target, content)
    download_file(remote("good"), target, limits=LIMITS)
    assert target.read_bytes() == BODY


def test_a_complete_part_needs_no_network(remote, server, target):
    part_of(target, BODY)
    download_file(remote("missing"), target, limits=LIMITS)
    assert server.requests == []


def test_a_corrupt_file_is_removed_and_named(remote, server, target):
    message = fault(remote("corrupt"), target)
    assert "expected the SHA-256" in message
    assert "the file was removed" in message
    assert list(target.parent.iterdir()) == []
    assert len(server.requests) == 1


def test_an_answer_that_never_gets_whole(remote, target):
    message = fault(remote("always_truncated"), target)
    assert "ended after 30 of 307,200 bytes (3 tries)" in message
    assert "goes on where it stopped" in message
    assert str(target) in message


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("other", "got one of 34: not the same file"),
        ("endless", "more than the expected"),
        ("missing", "404"),
        ("silent", "nothing came for 0.1 s"),
        ("stalls", "nothing came for 0.1 s"),
        ("drips", "stalled: only"),
    ],
)
def test_bad_servers(remote, target, path, words):
    start = time.monotonic()
    assert words in fault(remote(path), target, replace(LIMITS, timeout=0.1, attempts=1))
    assert time.monotonic() - start < 1.5


def test_a_busy_server_is_asked_again(remote, server, target):
    download_file(remote("busy_once"), target, limits=LIMITS)
    assert len(server.requests) == 2


def test_the_next_address_is_tried(remote, server, target):
    download_file(remote("missing", "corrupt", "good"), target, limits=LIMITS)
    assert target.read_bytes() == BODY
    assert [path for path, _ in server.requests] == ["/missing", "/corrupt", "/good"]


def test_nobody_there(remote, server, target):
    file = replace(remote("good"), urls=("http://127.0.0.1:1/x", "http://nowhere.invalid/x"))
    message = fault(file, target)
    assert "no connection" in message
    assert "is there a network?" in message or "no connection within" in message


class _FullDisk:
    def __init__(self, *_):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk(remote, target, monkeypatch):
    monkeypatch.setattr(transfer, "_receive", _FullDisk)
    message = fault(remote("good"), target)
    assert "the disk is full; 307,200 bytes are needed" in message
    assert "TINYSLM_DATA" in message


def test_too_little_room_is_seen_before(remote, server, target, monkeypatch):
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: usage)
    assert "the disk is full" in fault(remote("good"), target)
    assert server.requests == []


def test_a_folder_that_cannot_be_made(remote, tmp_path):
    (tmp_path / "deep").write_text("a file in the way", encoding="utf-8")
    assert "cannot be written" in fault(remote("good"), tmp_path / "deep" / "body.bin")


@contextmanager
def _registered(monkeypatch, tmp_path, file):
    names = replace(DATASETS["names"], files=(file,))
    monkeypatch.setitem(DATASETS, "names", names)
    monkeypatch.setattr(download, "cache_dir", lambda: tmp_path / "cache")
    monkeypatch.delenv("TINYSLM_DATA", raising=False)
    yield


def test_fetch_downloads_once_and_repairs_the_cache(remote, server, tmp_path, monkeypatch):
    with _registered(monkeypatch, tmp_path, remote("good")):
        folder = fetch("names", limits=LIMITS)
        assert fetch("names", limits=LIMITS) == folder == tmp_path / "cache" / "names"
        assert len(server.requests) == 1
        (folder / "body.bin").write_bytes(b"damaged")
        fetch("names", limits=LIMITS)
        assert (folder / "body.bin").read_bytes() == BODY


def test_fetch_from_a_local_copy(remote, server, tmp_path, monkeypatch):
    with _registered(monkeypatch, tmp_path, remote("good")):
        path = tmp_path / "copy" / "names" / "body.bin"
        with pytest.raises(DataError, match="no such file"):
            fetch("names", tmp_path / "copy")
        path.parent.mkdir(parents=True)
        path.write_bytes(BODY)
        assert fetch("names", tmp_path / "copy") == path.parent
        monkeypatch.setenv("TINYSLM_DATA", str(tmp_path / "copy"))
        assert fetch("names") == path.parent
        path.write_bytes(b"changed")
        with pytest.raises(DataError, match="left as it was"):
            fetch("names")
        assert path.read_bytes() == b"changed"
    assert server.requests == []


def test_unknown_names_show_the_known_ones():
    with pytest.raises(OptionError, match=r"sms_spam.*Did you mean tinyshakespeare"):
        fetch("tiny-shakespear")


def test_the_registry_is_complete():
    for name, dataset in DATASETS.items():
        assert dataset.name == name
        assert all((dataset.licence, dataset.citation, dataset.files))
        for file in dataset.files:
            assert len(bytes.fromhex(file.sha256)) == 32
            assert file.size > 0
            assert all(url.startswith("https://") and url.endswith(file.name) for url in file.urls)
    assert cache_dir().name == "data"
