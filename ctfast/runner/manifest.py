"""``manifest.jsonl``: one line an input, appended as files finish, so that a killed run loses nothing.

While a run goes on, lines are appended (a retried file has two, the later one counts); when it ends the file is
rewritten with one line an input, and ``failures.csv`` is made from it. A shard appends to a manifest of its own
(``manifest.2-of-8.jsonl``); a run without ``--shard`` over the same folder takes them all in.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TypedDict, cast

MANIFEST = "manifest.jsonl"
FAILURES = "failures.csv"


class Row(TypedDict):
    """One line of the manifest."""

    input: str
    output: str
    status: str
    """``ok``, ``failed`` or ``skipped`` (not started because the run stopped at an error)."""
    error: str
    input_bytes: int
    input_mtime: float
    input_hash: str
    """SHA-256 of the file."""
    shape: list[int]
    dtype: str
    units: str
    """What the input's values mean: hu, stored, unknown."""
    pipeline: str
    version: str
    backend: str
    read_seconds: float
    compute_seconds: float
    write_seconds: float


def manifest_name(shard: tuple[int, int] | None) -> str:
    """File name of the manifest a (sharded) run appends to."""
    return MANIFEST if shard is None else f"manifest.{shard[0]}-of-{shard[1]}.jsonl"


def parse_line(text: bytes) -> dict[str, Any] | None:
    """One line of a JSON-lines file; None for the half line at a killed run's end."""
    try:
        data = json.loads(text)
    except ValueError:
        return None
    return data if isinstance(data, dict) and "output" in data else None


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a JSON-lines file, none where there is no file."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for text in file:
            line = parse_line(text)
            if line is not None:
                yield line


def read_rows(out: Path) -> list[Row]:
    """The latest line of each output, from all manifests in the folder."""
    latest: dict[str, Any] = {}
    for path in sorted(out.glob("manifest*.jsonl")):
        for line in read_lines(path):
            known = latest.get(line["output"])
            # Between manifests a finished file beats a failed one; within one, the later line counts.
            if known is None or known["_from"] == path or known["status"] != "ok":
                latest[line["output"]] = {**line, "_from": path}
    for line in latest.values():
        del line["_from"]
    return list(latest.values())


class Appender:
    """Appends JSON lines; each is flushed to the system at once, so that it survives a kill of this process."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+b")
        self._file.seek(0, os.SEEK_END)
        if self._file.tell():
            self._file.seek(-1, os.SEEK_END)
            if self._file.read(1) != b"\n":
                self._file.write(b"\n")  # the half line of a killed run must not swallow ours

    def append(self, line: Any) -> None:
        """Write one line."""
        self._file.write(json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")
        self._file.flush()

    def __enter__(self) -> Appender:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._file.close()


def close_manifest(out: Path, shard: tuple[int, int] | None) -> list[Row]:
    """Rewrite the manifest with one line an output, sorted, and ``failures.csv``; returns the lines."""
    if shard is None:
        rows = read_rows(out)
    else:
        latest = {line["output"]: line for line in read_lines(out / manifest_name(shard))}
        rows = cast(list[Row], list(latest.values()))
    rows.sort(key=lambda row: row["output"])
    name = manifest_name(shard)
    temporary = out / f".{name}.{os.getpid()}"
    with Appender(temporary) as file:
        for row in rows:
            file.append(row)
    os.replace(temporary, out / name)
    _write_failures(out / (FAILURES if shard is None else f"failures.{shard[0]}-of-{shard[1]}.csv"), rows)
    return rows


def _write_failures(path: Path, rows: list[Row]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["input", "error"])
        writer.writerows([row["input"], row["error"]] for row in rows if row["status"] == "failed")
    os.replace(temporary, path)
