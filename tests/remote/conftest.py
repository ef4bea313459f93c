"""A server that speaks S3, in a process of its own, and the folders that runs are compared on."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctfast import Pipeline, Step
from ctfast.files import write_image
from tests.files.files_build import dicom

PIPELINE = Pipeline(
    [Step("median_filter", size=3), Step("summary"), Step("histogram", bins=64, value_range=(-1024, 3071))]
)
STEPS = ("--step", "median_filter size=3", "--step", "summary", "--step", "histogram bins=64 value_range=-1024,3071")


@dataclass
class Server:
    """The server and a client of it."""

    url: str

    @property
    def files(self) -> Any:
        """fsspec's, which knows nothing of before."""
        import s3fs

        s3fs.S3FileSystem.clear_instance_cache()
        return s3fs.S3FileSystem()

    def fill(self, bucket: str, folder: Path) -> None:
        """A bucket with a folder's files below ``in``."""
        files = self.files
        if not files.exists(bucket):
            files.mkdir(bucket)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                files.pipe_file(f"{bucket}/in/{path.relative_to(folder)}", path.read_bytes())

    def contents(self, folder: str) -> dict[str, bytes]:
        """All files below a folder by their names."""
        files = self.files
        return {name[len(folder) + 1 :]: files.cat_file(name) for name in files.find(folder)}

    def ask(self, what: str, data: bytes = b"") -> None:
        """Of the server itself."""
        request = urllib.request.Request(f"{self.url}/moto-api/{what}", data, {"Content-Type": "text/plain"})
        urllib.request.urlopen(request).read()


@pytest.fixture(scope="session")
def _running() -> Iterator[str]:
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    pytest.importorskip("moto", reason="moto is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{url}/moto-api/data.json").read()
                break
            except OSError:
                assert server.poll() is None, "the server ended"
                time.sleep(0.1)
        yield url
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def s3(_running: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An empty one; the credentials and its address are in the environment."""
    for name, value in {
        "AWS_ENDPOINT_URL": _running,
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY": "tests",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    server = Server(_running)
    server.ask("reset")
    assert server.files is not None
    yield server
    server.ask("reset-auth", b"inf")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six images, one in a folder, one DICOM; a broken one; other files."""
    folder, random = tmp_path / "in", np.random.default_rng(3)
    (folder / "sub").mkdir(parents=True)
    for name in ("a", "b", "sub/c", "sub/d", "e"):
        write_image(folder / f"{name}.tif", random.integers(-1000, 1000, (40, 33)).astype(np.int16), units="hu")
    dicom(folder / "f.dcm", random.integers(-1000, 1000, (40, 33)).astype(np.int16))
    (folder / "bad.tif").write_bytes(b"II*\0broken")
    (folder / "note.txt").write_text("no image")
    (folder / ".hidden.tif").write_bytes(b"")
    return folder


Cli = Callable[..., "subprocess.CompletedProcess[str]"]


def ctfast(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "ctfast", *arguments]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command line in a process of its own, in an empty folder."""
    (tmp_path / "here").mkdir()

    def call(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ctfast(*arguments),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            cwd=tmp_path / "here",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)), **variables},
        )

    return call
