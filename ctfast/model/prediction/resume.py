"""What a prediction will do, decided and refused before any work: files, pictures, rows that stand."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path

from ctfast.errors import UsageError
from ctfast.files import find_images
from ctfast.model.prediction import predictions_csv as tables


@dataclass(frozen=True, slots=True)
class Task:
    """One input file."""

    path: str
    """As the user would name it."""
    picture: Path | None
    """Where its explanation goes (frames of a stack get their number)."""


def find_tasks(inputs: Sequence[str | Path], csv: Path, explain_dir: Path | None) -> tuple[list[Task], int]:
    """The files and the names of their pictures, refused where something would be lost."""
    found = find_images(inputs)
    if not found.items:
        listed = ", ".join(str(i) for i in inputs)
        raise UsageError(f"no images found in {listed}; {len(found.ignored)} other files were ignored")
    if explain_dir is not None and explain_dir.exists() and not explain_dir.is_dir():
        raise UsageError(f"--explain {explain_dir} is a file: a folder is needed")
    tasks = []
    pictures: dict[str, Path] = {}
    for item in found.items:
        if os.path.abspath(item.path) == os.path.abspath(csv):
            raise UsageError(f"--csv {csv} is an input: choose another name for the output")
        picture = None
        if explain_dir is not None:
            picture = explain_dir / item.stem.with_name(f"{item.path.name}.png")
            other = pictures.setdefault(str(picture).casefold(), item.path)
            if other is not item.path:
                raise UsageError(
                    f"two inputs for one picture {picture}: {other} and {item.path}; predict them with different "
                    "--csv and --explain"
                )
        tasks.append(Task(str(item.path), picture))
    return tasks, len(found.ignored)


def standing_files(csv: Path, model: str, names: list[str], tasks: Sequence[Task], *, resume: bool) -> set[str]:
    """Files of the existing table whose rows stand: unchanged ones, and those that are not asked about now.

    Raises:
        UsageError: If the table is another model's, or something else.
    """
    asked = {tables.safe(task.path): task for task in tasks}
    standing = set()
    # Rows of a file were written together, so they follow one another.
    for name, group in groupby(tables.read_records(csv, names), key=itemgetter("file")):
        rows = list(group)
        other = next((row["model"] for row in rows if row["model"] != model), None)
        if other is not None:
            raise UsageError(
                f"{csv} holds predictions of another model ({other} there, {model} now): choose another --csv, or "
                "give --overwrite"
            )
        task = asked.get(name)
        if task is None or (resume and _stands(task, rows)):
            standing.add(name)
    return standing


def start_table(csv: Path, names: list[str], standing: set[str]) -> None:
    """Make the table, or leave only rows in it that stand: nothing half, nothing stale."""
    csv.parent.mkdir(parents=True, exist_ok=True)
    kept = (row.values() for row in tables.read_records(csv, names) if row["file"] in standing) if standing else ()
    tables.rewrite(csv, names, (list(row) for row in kept))


def _stands(task: Task, rows: Sequence[tables.Record]) -> bool:
    """Whether these rows are all there is to know about an unchanged file."""
    first, frames = rows[0], [row["frame"] for row in rows]
    stack = [str(k) for k in range(len(rows))]
    whole = frames == [""] or (frames == stack and first["frames"] == str(len(rows)))
    if first["error"] or not whole:
        return False
    try:
        now = os.stat(task.path)
    except OSError:
        return False
    if first["bytes"] != str(now.st_size) or first["modified"] != time_text(now.st_mtime):
        return False
    return all(p is None or p.exists() for p in (picture_of(task, r["frame"]) for r in rows))


def time_text(modified: float) -> str:
    return f"{modified:.6f}"


def picture_of(task: Task, frame: str) -> Path | None:
    if task.picture is None or not frame:
        return task.picture
    return task.picture.with_name(f"{task.picture.stem}.{int(frame):04d}.png")


def put_in_order(csv: Path, names: list[str], tasks: Sequence[Task]) -> None:
    """Rows of files that were not asked about first, then the rest in the order of the inputs."""
    place = {tables.safe(task.path): k for k, task in enumerate(tasks)}
    places = [place.get(row["file"], -1) for row in tables.read_records(csv, names)]
    if any(after < before for before, after in pairwise(places)):
        rows = sorted(tables.read_records(csv, names), key=lambda row: place.get(row["file"], -1))
        tables.rewrite(csv, names, (list(row.values()) for row in rows))
