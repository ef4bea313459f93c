"""The JSON files of a run folder: whole, of this version, or refused with what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ctfast import __version__
from ctfast.batch.parsing import parsed_json
from ctfast.errors import FileFormatError


def damaged(file: Path, error: object) -> FileFormatError:
    """The error for a record that does not hold what ctfast wrote there."""
    return FileFormatError(f"{file} is damaged ({error})", "train again")


def read_record(file: Path, version: int, missing: FileFormatError) -> dict[str, Any]:
    """What a record holds.

    Args:
        file: The JSON file.
        version: The ``format`` that can be read.
        missing: What is raised where there is none.

    Raises:
        FileFormatError: If it is missing, damaged or of another version.
    """
    try:
        data = dict(parsed_json(file.read_text(encoding="utf-8")))
        found = data["format"]
    except (FileNotFoundError, NotADirectoryError):
        raise missing from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise damaged(file, error) from error
    if found != version:
        raise FileFormatError(
            f"{file} has format {found} (ctfast {data.get('ctfast')}), this ctfast {__version__} reads {version}",
            "use that ctfast, or train again",
        )
    return data
