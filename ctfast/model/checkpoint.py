"""Checkpoints that are whole or not there: Orbax writes the arrays, one small record makes them count.

The record (``checkpoints.json``) names folders of arrays for ``last`` and ``best``, with size and checksum of every
file. Arrays are written first, under new names; then the record is replaced in one step. So a process killed at any
moment leaves the checkpoints before or after, and folders that the record does not name are removed by the next save.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import jax
import numpy as np

from ctfast import __version__
from ctfast.batch.atomic import write_json
from ctfast.errors import FileFormatError
from ctfast.model.records import read_record

FORMAT: Final = 1
NAMES: Final = ("last", "best")
_CHUNK: Final = 1 << 22
_NUMBER: Final = re.compile(r"os_error_code='(\d+)'")


@dataclass(frozen=True)
class Record:
    """What is stored: checkpoints (name to kind to folder and files), and the caller's own facts."""

    checkpoints: Mapping[str, Any]
    facts: Mapping[str, Any]


class CheckpointStore:
    """The checkpoints of one run.

    Args:
        folder: Made by the first save.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "checkpoints.json"

    def write(self, kind: str, tree: Any) -> dict[str, Any]:
        """Write the arrays of a tree; nothing counts before ``commit`` names what is returned here.

        Raises:
            OSError: If the disk is full, or keeps them from being written; nothing is left of them.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"{kind}-{secrets.token_hex(6)}"
        folder = self.folder.absolute() / name
        try:
            with _without_log(), _checkpointer() as checkpointer:
                checkpointer.save(folder, _numbered(tree))
        except Exception as error:
            for part in self.folder.glob(f"{name}*"):
                shutil.rmtree(part, ignore_errors=True)  # it takes room that the disk may lack
            raise _of_the_system(error, folder) from error
        files = {}
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            files[path.relative_to(folder).as_posix()] = [path.stat().st_size, _checksum(path)]
            _flush(path)
        return {"folder": name, "files": files}

    def commit(self, checkpoints: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """Make these the checkpoints: name to kind to what ``write`` returned. Removes all others."""
        data = {"format": FORMAT, "ctfast": __version__, "checkpoints": dict(checkpoints), "facts": dict(facts)}
        write_json(self.file, data, durable=True)
        named = {self.file.name} | {item["folder"] for items in checkpoints.values() for item in items.values()}
        for path in self.folder.iterdir():
            if path.name not in named:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def exists(self) -> bool:
        """Whether there is anything to load."""
        return self.file.is_file()

    def record(self) -> Record:
        """Read and check the record.

        Raises:
            FileFormatError: If it is missing, damaged or of another version.
        """
        missing = FileFormatError(f"{self.file} is missing: no finished checkpoint", "resume it, or train again")
        data = read_record(self.file, FORMAT, missing)
        checkpoints, facts = data.get("checkpoints"), data.get("facts")
        if not isinstance(facts, dict) or not isinstance(checkpoints, dict) or not _names_files(checkpoints):
            raise FileFormatError(f"{self.file} is no record of checkpoints in {self.folder}", "train again")
        return Record(checkpoints, facts)

    def read(self, name: str, kind: str, like: Any) -> Any:
        """The arrays of one item as NumPy arrays, in a tree as ``like``, whose shapes they must have.

        Raises:
            FileFormatError: If a file is missing, truncated or changed, or the arrays are other ones.
        """
        item = self.record().checkpoints.get(name, {}).get(kind)
        if item is None:
            raise FileFormatError(f"{self.file} holds no {kind} of {name!r}", f"{_other(name)}, or train again")
        folder = self.folder / item["folder"]
        for file, (size, checksum) in item["files"].items():
            self._check_file(folder / file, size, checksum, name)
        leaves, structure = jax.tree.flatten(like)
        try:
            with _checkpointer() as checkpointer:
                arrays = _restore(checkpointer, folder.absolute(), len(leaves))
        except Exception as error:  # Orbax and TensorStore raise many kinds
            raise FileFormatError(f"{folder} can't be read ({error})", f"{_other(name)}, or train again") from error
        for wanted, array in zip(leaves, arrays):
            if wanted.shape != array.shape or wanted.dtype != array.dtype:
                raise FileFormatError(
                    f"{folder} holds an array {array.shape} {array.dtype} where {wanted.shape} {wanted.dtype} is "
                    "needed: config.json belongs to another checkpoint",
                    "train again",
                )
        return jax.tree.unflatten(structure, arrays)

    def _check_file(self, path: Path, size: int, checksum: int, name: str) -> None:
        try:
            actual = path.stat().st_size
        except OSError as error:
            raise FileFormatError(f"{path} is missing", f"{_other(name)}, or train again") from error
        if actual != size:
            raise FileFormatError(f"{path} has {actual} bytes, {size} were written", f"{_other(name)}, or train again")
        if _checksum(path) != checksum:
            raise FileFormatError(f"{path} was changed or damaged", f"{_other(name)}, or train again")


def _names_files(checkpoints: Any) -> bool:
    """Whether a record is of the form that ``commit`` writes, and every file in it lies in the checkpoints' folder."""
    try:
        items = [item for kinds in checkpoints.values() for item in kinds.values()]
        files = [(item["folder"], file, *kept) for item in items for file, kept in item["files"].items()]
        inside = all(
            Path(folder).name == folder not in ("", "..")
            and not PurePosixPath(file).is_absolute()
            and ".." not in PurePosixPath(file).parts
            for folder, file, _, _ in files
        )
        return inside and all(item["folder"] and type(item["folder"]) is str for item in items)
    except (AttributeError, KeyError, TypeError, ValueError):
        return False


def _other(name: str) -> str:
    return f"try the other checkpoint (which={'last' if name == 'best' else 'best'!r})"


def _checkpointer() -> Any:
    """Each process for itself: only the first one saves, and readers don't wait for each other."""
    import orbax.checkpoint as ocp

    me = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"process-{me}"
    )
    # Compression takes four times as long and saves 8 % of trained weights.
    handler = ocp.PyTreeCheckpointHandler(use_compression=False, multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


@contextmanager
def _without_log() -> Iterator[None]:
    """Orbax' threads print what failed, with tracebacks, beside raising it."""
    log = logging.getLogger("absl")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def _of_the_system(error: Exception, path: Path) -> Exception:
    """The error of the system that TensorStore tells of in the text of its own; any other as it is."""
    number = _NUMBER.search(str(error))
    return error if number is None else OSError(int(number[1]), os.strerror(int(number[1])), str(path))


def _numbered(tree: Any) -> dict[str, Any]:
    """Leaves by number: what is stored does not depend on the classes of optax' states."""
    return {f"{k:04d}": np.asarray(leaf) for k, leaf in enumerate(jax.tree.leaves(tree))}


def _restore(checkpointer: Any, folder: Path, number: int) -> list[Any]:
    import orbax.checkpoint as ocp

    each = {f"{k:04d}": ocp.RestoreArgs(restore_type=np.ndarray) for k in range(number)}
    arrays = checkpointer.restore(folder, args=ocp.args.PyTreeRestore(restore_args=each))
    return [arrays[name] for name in each]


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            value = zlib.crc32(chunk, value)
    return value


def _flush(path: Path) -> None:
    """To the disk, so that the record is never there before what it names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
