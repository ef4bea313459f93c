"""Which outputs are there: on a disk each is asked for, of a storage all were listed at once."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ctfast.batch import remote
from ctfast.batch.inside import on_disk
from ctfast.batch.stamp import Stamp, stamp_of
from ctfast.batch.urls import is_url


class Outputs:
    """What lies in an output folder.

    Args:
        listed: stamps by URL; None on a disk.
    """

    def __init__(self, listed: Mapping[str, Stamp] | None = None) -> None:
        self._listed = listed

    def there(self, path: str) -> bool:
        """Whether there is such an output."""
        return os.path.exists(path) if self._listed is None else path in self._listed

    def size(self, path: str) -> int | None:
        """Its bytes; None where it is not there."""
        try:
            stamp = stamp_of(path) if self._listed is None else self._listed.get(path)
        except OSError:
            return None
        return None if stamp is None else stamp.size


def is_there(path: str) -> bool:
    """Whether there is an input of this name, on a disk or a storage."""
    return remote.exists(path) if is_url(path) else os.path.lexists(on_disk(path))
