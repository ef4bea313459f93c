"""Files that are replaced whole or not at all.

A new file is written under a random hidden name in the same folder, made by this call alone (so that two writers, or
what a killed process left behind, never share one), and renamed once it is complete. Readers see the old file or the
new one, never a part; any failure removes the temporary file and leaves the old one as it was. What a killed process
left is removed by ``held.remove_leftovers``, which the next run calls.

What is never lost, and what a power cut can cost: by default nothing is flushed to the disk (``fsync``), because a run
writes thousands of outputs that can be made again. A process that crashes or is killed loses nothing that was renamed.
After a power cut or a crash of the system, a file that was replaced in the last seconds may be the old one, or empty on
file systems that write names before contents. ``durable=True`` flushes the file before it is renamed and the folder
after it; it costs a disk some milliseconds a file. It is for records that other files depend on.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal, cast, overload

from ctfast.batch import remote
from ctfast.batch.held import TEMPORARY, OpenFolder, hold, remove
from ctfast.batch.urls import is_url


@overload
def replacing(
    path: str | Path, mode: Literal["w"] = "w", *, durable: bool = False, **open_options: Any
) -> AbstractContextManager[IO[str]]: ...
@overload
def replacing(
    path: str | Path, mode: Literal["wb", "w+b"], *, durable: bool = False, **open_options: Any
) -> AbstractContextManager[IO[bytes]]: ...
@contextmanager
def replacing(path: str | Path, mode: str = "w", *, durable: bool = False, **open_options: Any) -> Iterator[IO[Any]]:
    """A new file that takes the place of ``path`` at the end of the ``with`` block, and vanishes if anything fails.

    Args:
        path: the file; its folder must exist. A device or a pipe is written to as it is, a URL when it is complete.
        mode: ``"w"`` (UTF-8, line ends as written), ``"wb"`` or ``"w+b"`` (for libraries that read back).
        durable: flush to the disk, see above.
        open_options: as for ``open``.

    Raises:
        OSError: the folder is not there, or writing fails; nothing is left behind.
    """
    if is_url(path):
        with _uploading(path) as remote_file:
            yield remote_file if "b" in mode else io.TextIOWrapper(remote_file, "utf-8", newline="", write_through=True)
        return
    path = os.fspath(path)
    if "b" not in mode:
        open_options = {"encoding": "utf-8", "newline": "", **open_options}
    if _is_special(path):
        # A device or a pipe, such as /dev/null, can't be replaced: as root a file would take its place for everybody.
        with open(path, mode, **open_options) as file:
            yield file
        return
    made: IO[Any] | None = None
    temporary = os.path.join(os.path.dirname(path), _hidden())
    try:  # from here on, as SIGTERM may end a worker between any two steps
        made = _new_file(temporary, mode.replace("w", "x"), open_options)
        # Closed before it is renamed, because some file systems say only then that the disk is full; held until after.
        held = os.dup(made.fileno())
        try:
            with made:
                yield made
                if durable:
                    made.flush()
                    os.fsync(made.fileno())
            os.replace(temporary, path)
        finally:
            os.close(held)
    except BaseException as error:
        if made is not None or not isinstance(error, FileExistsError):  # then it is somebody else's
            Path(temporary).unlink(missing_ok=True)
        raise
    if durable:
        _flush(Path(path).parent)


def _is_special(path: str) -> bool:
    """Whether something is there that is no file."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


@contextmanager
def _uploading(url: str | Path) -> Iterator[IO[bytes]]:
    """A file of the disk that is sent when it is complete."""
    with tempfile.NamedTemporaryFile("w+b", prefix="ctfast-") as file:
        yield cast(IO[bytes], file)
        remote.write(url, cast(IO[bytes], file))


def _new_file(temporary: str, mode: str, open_options: dict[str, Any]) -> IO[Any]:
    """A temporary file that is held, so that nobody takes it for what a killed process left."""
    while True:
        file = open(temporary, mode, **open_options)  # noqa: SIM115
        if hold(file):
            return file
        file.close()  # somebody cleaned up between the two lines above


@contextmanager
def replacing_folder(path: str | Path, *, durable: bool = False) -> Iterator[Path]:
    """The same for what is a folder, such as a Zarr store: it is filled under a hidden name.

    A folder can't take another one's place in one step: for a moment neither is there.

    Raises:
        OSError: the folder that it lies in is not there, or writing fails; nothing is left behind.
    """
    path = Path(path)
    folder, temporary = _new_folder(path)
    with folder:
        try:
            yield temporary
            if durable:
                for file in temporary.rglob("*"):
                    _flush(file)
            before = _hidden_beside(path)
            with suppress(FileNotFoundError):
                os.rename(path, before)
            os.rename(temporary, path)
        except BaseException:
            remove(temporary)
            raise
    remove(before)
    if durable:
        _flush(path.parent)


def _new_folder(path: Path) -> tuple[OpenFolder, Path]:
    """The same for a folder."""
    while True:
        temporary = _hidden_beside(path)
        temporary.mkdir()
        with suppress(FileNotFoundError):  # somebody cleaned up
            folder = OpenFolder(temporary)
            if hold(folder):
                return folder, temporary


def _hidden_beside(path: Path) -> Path:
    return path.with_name(_hidden())


def _hidden() -> str:
    # Not made of the file's own name, which may be as long as the file system allows.
    return TEMPORARY.replace("*", secrets.token_hex(8))


def write_text(path: str | Path, text: str, *, durable: bool = False) -> None:
    """Replace a text file (UTF-8, line ends as they are); its folder is made where it is missing."""
    write_bytes(path, text.encode(), durable=durable)


def write_bytes(path: str | Path, data: bytes | memoryview, *, durable: bool = False) -> None:
    """Replace a file; its folder is made where it is missing."""
    if is_url(path):
        remote.write(path, data)
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, "wb", durable=durable) as file:
        file.write(data)


def write_json(path: str | Path, value: Any, *, indent: int | None = 2, durable: bool = False) -> None:
    """Replace a JSON file; its folder is made where it is missing."""
    write_text(path, json.dumps(value, indent=indent) + "\n", durable=durable)


def _flush(path: Path) -> None:
    """A file, or the names in a folder; systems that can't open folders keep names safe by themselves."""
    if path.is_dir() and not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
