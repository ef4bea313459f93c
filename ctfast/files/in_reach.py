"""Whether this machine, a worker of a cluster, can do what another one has found."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ctfast.batch import remote
from ctfast.batch.inside import on_disk
from ctfast.batch.urls import is_url
from ctfast.errors import CTFastError
from ctfast.files.formats import by_extension


def out_of_reach(paths: Iterable[str | Path]) -> str:
    """Why files can't be read here: not there, or without the package that their format needs; empty if they can."""
    for path in map(str, paths):
        try:
            if is_url(path):
                remote.check(path)
            elif not os.path.lexists(on_disk(path)):
                return f"{path} is not there: workers need a disk that they share, or URLs"
            elif (kind := by_extension(Path(path))) is not None:
                kind.check_package()
        except CTFastError as error:
            return str(error)
    return ""


def nearest_folder(path: str | Path) -> str:
    """The path, or the closest folder above it that is there already: what is below is still to be made."""
    place = Path(path)
    while not is_url(place) and not place.exists() and place != place.parent:
        place = place.parent
    return str(path) if is_url(path) else str(place)
