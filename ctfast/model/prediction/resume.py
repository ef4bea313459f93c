"""What a prediction will do, decided and refused before any work: files, pictures, rows that stay."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from ctfast.batch.cells import safe_cell
from ctfast.batch.stamp import unchanged
from ctfast.errors import UsageError
from ctfast.files import Ignored, find_images
from ctfast.files.twins import without_twins
from ctfast.files.values import Values
from ctfast.model.prediction.overlay import stamp_of
from ctfast.model.prediction.predictions_csv import PredictionTable, Record


@dataclass(frozen=True, slots=True)
class PredictionTask:
    """One input file.

    Attributes:
        path: As the user would name it.
        picture: Where its explanation goes (frames of a stack get their number).
    """

    path: str
    picture: Path | None

    def picture_of(self, frame: int | None) -> Path | None:
        """The picture of one frame; None for a file that is no stack."""
        if self.picture is None or frame is None:
            return self.picture
        return self.picture.with_name(f"{self.picture.stem}.{frame:04d}.png")

    def stamp(self, model: str, method: str | None) -> str:
        """What its pictures are of, without its name: the file, then the network and the method."""
        return f"{sha256(os.fsencode(os.path.realpath(self.path))).hexdigest()[:16]} {model} {method}"


def find_tasks(
    inputs: Sequence[str | Path], csv: Path, explain_dir: Path | None
) -> tuple[list[PredictionTask], Sequence[Ignored]]:
    """The files and the names of their pictures, and what was left out.

    Raises:
        UsageError: No images, or an output that would replace an input or another output.
    """
    images = without_twins(find_images(inputs), keep_dicom=False)  # as training takes them
    if explain_dir is not None and explain_dir.exists() and not explain_dir.is_dir():
        raise UsageError(f"--explain {explain_dir} is a file: a folder is needed")
    tasks = []
    pictures: dict[str, Path] = {}
    for item in images.items:
        if os.path.abspath(item.path) == os.path.abspath(csv):
            raise UsageError(f"--csv {csv} is an input: choose another name for the output")
        picture = None
        if explain_dir is not None:
            picture = explain_dir / item.stem.with_name(f"{item.path.name}.png")
            other = pictures.setdefault(str(picture).casefold(), item.path)
            if other != item.path:
                raise UsageError(
                    f"two inputs for one picture {picture}: {other} and {item.path}; predict them with different "
                    "--csv and --explain"
                )
        tasks.append(PredictionTask(str(item.path), picture))
    return tasks, images.ignored


def finished_files(
    table: PredictionTable, tasks: Sequence[PredictionTask], values: Values, method: str, *, resume: bool
) -> set[str]:
    """Files of the existing table whose rows stay: those that are not asked about now, and unchanged ones, if their
    values were read as ``values`` says and their pictures, where there are to be any, were made so.

    Raises:
        UsageError: If the table is another model's, or something else.
    """
    asked = {safe_cell(task.path): task for task in tasks}
    finished = set()
    # Rows of a file were written together, so they follow one another.
    for name, group in groupby(table.records(), key=itemgetter("file")):
        records = list(group)
        task = asked.get(name)
        if task is None or (
            resume
            and records[0]["read_as"] == str(values)
            and _is_finished(task, records, task.stamp(table.model, method))
        ):
            finished.add(name)
    return finished


def _is_finished(task: PredictionTask, records: Sequence[Record], stamp: str) -> bool:
    """Whether these rows are all there is to know about an unchanged file."""
    first, frames = records[0], [record["frame"] for record in records]
    stack = [str(k) for k in range(len(records))]
    whole = frames == [""] or (frames == stack and first["frames"] == str(len(records)))
    if first["error"] or not whole or not unchanged(task.path, first["bytes"], first["modified"]):
        return False
    pictures = (task.picture_of(int(frame) if frame else None) for frame in frames)
    return all(picture is None or stamp_of(picture) == stamp for picture in pictures)


def refuse_pictures_of_others(tasks: Sequence[PredictionTask]) -> None:
    """Refuse to replace pictures of other files, which may have had the same names in another folder.

    Raises:
        UsageError: With the picture.
    """
    for task in tasks:
        for picture in filter(None, {task.picture_of(None), task.picture_of(0)}):
            file = stamp_of(picture).partition(" ")[0]
            if file and file != task.stamp("", "").partition(" ")[0]:
                raise UsageError(
                    f"{picture} is of another file than {task.path} (or it was moved): choose another --explain, or "
                    "give --overwrite"
                )
