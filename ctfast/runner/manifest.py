"""``manifest.jsonl``: one line an input, appended as files finish, so that a killed run loses nothing.

While runs are at work each appends to a part of its own (``manifest.0123456789abcdef.jsonl``, see ``records``); at its
end a run puts the parts together into one line an input, and makes ``failures.csv`` from them. A file that was tried
again has several lines; the latest counts. A shard has a manifest of its own (``manifest.2-of-8.jsonl``); a run without
``--shard`` over the same folder puts them together.

Lines name files as they are seen from the folder (``batch.places``), so that a run can be moved; in memory, a ``Row``
names them in full. Earlier versions wrote full names, which are read too.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypedDict, cast

from ctfast.batch import remote
from ctfast.batch.atomic import replacing
from ctfast.batch.cells import safe_cell
from ctfast.batch.held import remove
from ctfast.batch.journal import Journal, JsonLines
from ctfast.batch.listing import matching
from ctfast.batch.places import found, noted
from ctfast.batch.urls import is_url
from ctfast.errors import UsageError

Shard = tuple[int, int] | None
PART: Final = re.compile(r"\.[0-9a-f]{16}\.jsonl$")
"""How names of files end to which one run appends."""
RECORDS: Final = (
    "manifest*.jsonl",
    "failures*.csv",
    "statistics*.jsonl",
    "statistics*.npz",
    "summary*.csv",
    "listed*.json",
)
DONE: Final = b'"status":"ok"'
_FAILED: Final = b'"status":"failed"'
"""In no other place of a line, as quotation marks in texts are escaped."""
STALE: Final = ".stale"
"""Added to the name of an output that is no longer what the manifest says: its input fails now, or ``overwrite`` came
with another pipeline. It is not removed, because it may be all that is left of an input; a new output removes it."""


_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    **dict.fromkeys(("input", "output", "status", "error", "pipeline", "output_hash", "input_hash", "units"), (str,)),
    **dict.fromkeys(("started", "input_mtime", "input_bytes", "output_bytes"), (float, int)),
    "inputs": (list,),
}
"""What a run reads of earlier lines."""


class Row(TypedDict):
    """One line of the manifest.

    Attributes:
        status: ``ok``, ``failed`` or ``skipped`` (left out, or not started because the run stopped at an error).
        error: why it failed or was left out.
        started: when, in seconds since the epoch; of several manifests' lines for an output, the latest counts.
        input_hash: SHA-256 of the file.
        inputs: the files of a series by position, where the input is one; empty for a file.
        output_bytes: size of the output, with ``output_hash``, its SHA-256; 0 and empty from versions that did not note
            them.
        shape: of the output, with ``dtype``.
        units: of the input's values: ``hu``, ``stored``, ``unknown``.
        values: the former name of ``units``, for scripts that read it.
        notes: what the reader did to or doubts about the input.
        orientation: directions of columns, rows and frames of the input, such as ``LPS``; empty where it is not known.
        turned: how the reader turned a volume for display, such as ``RAS to LPS``; empty where it did not.
        affine: of the output, rows x, y, z of DICOM's millimetres by frame, row, column and 1; empty where not known.
        pipeline: its hash.
    """

    input: str
    output: str
    status: str
    error: str
    started: float
    input_bytes: int
    input_mtime: float
    input_hash: str
    inputs: list[str]
    output_bytes: int
    output_hash: str
    shape: list[int]
    dtype: str
    units: str
    values: str
    notes: str
    orientation: str
    turned: str
    affine: list[list[float]]
    pipeline: str
    version: str
    backend: str
    read_seconds: float
    compute_seconds: float
    write_seconds: float


def part_name(stem: str, ending: str, shard: Shard) -> str:
    """Name of a file that each shard has for itself: ``manifest.jsonl`` or ``manifest.2-of-8.jsonl``."""
    return f"{stem}.{ending}" if shard is None else f"{stem}.{shard[0]}-of-{shard[1]}.{ending}"


def manifest_of(out: Path, shard: Shard) -> Journal[dict[str, Any]]:
    """The manifest that (sharded) runs put together."""
    return Journal(out / part_name("manifest", "jsonl", shard), JsonLines())


def read_rows(out: str | Path, shard: Shard = None, *, folder: str = "") -> list[Row]:
    """The latest line of each input of runs into a folder, while they go on too, with full names of files.

    Args:
        out: the folder.
        shard: ``(i, n)``: those of one shard; all when None.
        folder: what the folder is called in full, where ``out`` holds a copy of its records.

    Raises:
        UsageError: a manifest holds something else.
    """
    folder = folder or os.path.realpath(out)
    out = Path(out)
    while True:
        paths = manifests(out, shard)
        latest: dict[str, Row] = {}
        for path in paths:
            for row in (row_of(path, line, folder) for line in Journal(path, JsonLines()).records()):
                # What was left out has no output and is known by its input.
                key = row["output"] or row["input"]
                if key not in latest or age(row) >= age(latest[key]):
                    latest[key] = row
        if manifests(out, shard) == paths:  # else a run put parts together meanwhile
            return [in_full(row, folder) for row in latest.values()]


def manifests(out: Path, shard: Shard) -> list[Path]:
    """All manifests in the folder, or those of one shard; parts last, as they may correct what was put together."""
    name = part_name("manifest", "jsonl", shard)
    whole = [out / name] if os.path.lexists(out / name) else []
    paths = [*whole, *matching(out, name.replace(".jsonl", ".*.jsonl"))]
    return sorted(paths, key=lambda path: (PART.search(path.name) is not None, path))


def in_full(row: Row, folder: str) -> Row:
    """A line of a manifest in ``folder`` with full names, as in memory."""
    return _renamed(row, found, folder)


def as_noted(row: Row, folder: str) -> Row:
    """The same as it is written in ``folder``."""
    return _renamed(row, noted, folder)


def _renamed(row: Row, name: Callable[[str, str], str], folder: str) -> Row:
    inputs = [name(path, folder) for path in row["inputs"]]
    return {**row, "input": name(row["input"], folder), "output": name(row["output"], folder), "inputs": inputs}


def row_of(path: Path, line: dict[str, Any], folder: str) -> Row:
    """A line of a manifest in ``folder`` as it is written today.

    Earlier versions wrote full names, called the units ``values`` and did not note the time.

    Raises:
        UsageError: It is no line of a manifest.
    """
    line.setdefault("units", line.get("values", "unknown"))
    line["values"] = line["units"]
    line.setdefault("started", 0.0)
    line.setdefault("inputs", [])
    line.setdefault("output_bytes", 0)
    line.setdefault("output_hash", "")
    if any(type(line.get(name)) not in kinds for name, kinds in _KINDS.items()):
        raise UsageError(f"{path} holds lines that are no rows of a run: choose another folder, or move the file away")
    return as_noted(cast(Row, line), folder)


def age(row: Row) -> tuple[float, bool]:
    """Of several lines of an output, the one of the largest age counts."""
    # Where earlier versions left the order open, a finished file beats a failed one.
    return row["started"], row["status"] == "ok"


def set_aside(output: str) -> bool:
    """Give an output a name under which nobody collects it; False where there is none."""
    if is_url(output):
        return _set_remote_aside(output)
    if not os.path.exists(output):
        return False
    if os.path.isdir(output):
        remove(output + STALE)  # a folder takes no other's place
    os.replace(output, output + STALE)
    return True


def _set_remote_aside(output: str) -> bool:
    if not remote.exists(output):
        return False
    remote.rename(output, output + STALE)
    return True


def close_manifest(out: Path, shard: Shard, lines: Iterable[bytes], *, durable: bool = False) -> None:
    """Rewrite the manifest with these lines, one an output, sorted, and ``failures.csv``."""
    manifest, failures = (out / part_name(*names, shard) for names in (("manifest", "jsonl"), ("failures", "csv")))
    with replacing(manifest, "wb", durable=durable) as file, replacing(failures) as table:
        writer = csv.writer(table)
        writer.writerow(["input", "error"])
        for line in lines:
            file.write(line)
            if _FAILED in line:
                row = json.loads(line)
                writer.writerow(map(safe_cell, (row["input"], row["error"])))
