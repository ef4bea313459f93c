"""What a caller says of the values of files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ctfast.batch.choices import DATASETS, UNITS, Dataset, UnitsChoice, check_choice
from ctfast.errors import ArgumentError


@dataclass(frozen=True)
class Values:
    """What the values of files are: the same three words in every command that reads files.

    Attributes:
        units, offset, dataset: As for ``read_image``.

    Raises:
        ArgumentError: For words that are not allowed, and for both ``offset`` and ``dataset``.
    """

    units: UnitsChoice = "auto"
    offset: int = 0
    dataset: Dataset = "none"

    def __post_init__(self) -> None:
        check_choice("units", self.units, UNITS, ArgumentError)
        check_choice("dataset", self.dataset, DATASETS, ArgumentError)
        if self.offset and self.dataset != "none":
            raise ArgumentError(f"offset={self.offset} and dataset={self.dataset!r}: one of them is allowed")

    def __str__(self) -> str:
        """For people and tables: ``auto``, ``hu, offset -1024``, ``auto, deeplesion``."""
        more = f", offset {self.offset}" if self.offset else ""
        return f"{self.units}{more}{'' if self.dataset == 'none' else f', {self.dataset}'}"


AS_FILES_SAY: Final = Values()
