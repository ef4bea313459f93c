"""Which images are asked for, and whether those of a set lie alike: the same questions in every command."""

from __future__ import annotations

from collections import Counter

from ctfast.errors import CTFastError


class LeftOutError(CTFastError):
    """A file that can be read and is not asked for."""


def check_modality(modality: object, asked: str) -> None:
    """Leave out what is not asked for; files that do not name their modality are always taken.

    Args:
        modality: of the file, such as ``"PT"``; empty or None where it does not say.
        asked: such as ``"CT"`` or ``"CT,PT"``; ``"any"`` takes all.

    Raises:
        LeftOutError: with the way to take it.
    """
    words = asked.upper().split(",")
    if words != ["ANY"] and modality and str(modality).upper() not in words:
        raise LeftOutError(f"modality {modality}, not {asked} (--modality {modality} takes it)")


def in_plane(orientation: object, turned: object) -> str:
    """Letters that columns and rows of the pixels run to, such as ``"LP"``; empty where nobody knows.

    Args:
        orientation: ``Image.meta["orientation"]``: in the file.
        turned: ``Image.meta["turned"]``: ``"RAS to LPS"`` where the reader turned the pixels.
    """
    return str(turned or orientation or "").rpartition(" to ")[2][:2]


def mixed_orientation(counts: Counter[str]) -> str:
    """A sentence where images of a set are seen from different sides; empty where they are not.

    Args:
        counts: images by ``in_plane``; those of which nobody knows do not count.
    """
    known = Counter({letters: number for letters, number in counts.items() if letters})
    if len(known) < 2:
        return ""
    listed = "; ".join(f"to {', '.join(letters)} in {number}" for letters, number in known.most_common())
    return (
        f"orientation is mixed: columns and rows run {listed}. Left and right, or front and back, are swapped between "
        "them (ctfast report names the slices)"
    )
