"""Public data sets whose files do not say what their values are, and whose documentation does.

Source: Yan et al., DeepLesion, J. Med. Imaging 5(3), 2018, and the README of its download: 16-bit PNG of HU + 32768.
"""

from __future__ import annotations

from typing import Final

_PNG_DEPTH: Final = 24  # offset of the bit depth in a PNG file
_DEEPLESION: Final = -32768


def hu_offset(dataset: str, format: str, head: bytes) -> int | None:
    """What is added to the values of a file of the named set to have HU.

    Args:
        dataset: One of ``ctfast.batch.choices.DATASETS``.
        format: Of the file; the name of a row of ``ctfast.files.formats``.
        head: Its first bytes.

    Returns:
        None for a file that is none of the set's, such as an 8-bit PNG.
    """
    if dataset == "deeplesion" and format == "png" and head[_PNG_DEPTH : _PNG_DEPTH + 1] == b"\x10":
        return _DEEPLESION
    return None
