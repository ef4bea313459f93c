"""The HU tissue table: which range of Hounsfield units is called what, and who published which values.

The published ranges overlap (contrast-filled blood and spongy bone share 130 to 400 HU, for example), and intensity
alone cannot tell such tissues apart. The labels need ranges that do not overlap, so the borders between the published
values are ctfast's choice; ``published`` and ``source`` say what they were chosen from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ctkernels.contract import NO_LABEL, TISSUE_EDGES

_MUDR: Final = "RadClass, Hounsfield units (after Buzug 2008 and Prokop 2003), http://radclass.mudr.org"
_WIKI: Final = "Wikipedia, Hounsfield scale, https://en.wikipedia.org/wiki/Hounsfield_scale"
_RADGRAY: Final = "radGRAY, Hounsfield scale, http://www.radgray.com/ct/general-ct/hounsfield-scale"
_TIP: Final = "Radiology-TIP, Hounsfield scale, https://www.radiology-tip.com"
_VEIN: Final = "The Common Vein, CT principles, https://beta.thecommonvein.net/heart"


@dataclass(frozen=True)
class Tissue:
    """One label: the range ``low <= HU < high``, a colour for overlays, and where the numbers come from."""

    label: int
    key: str
    name: str
    low: float
    high: float
    color: str
    """Hex colour, told apart by lightness too."""
    published: str
    source: str

    @property
    def range_text(self) -> str:
        """The range for people to read."""
        if math.isinf(self.low):
            return f"below {self.high:g} HU"
        return f"from {self.low:g} HU" if math.isinf(self.high) else f"{self.low:g} to {self.high:g} HU"


_ROWS: Final = (
    ("below_scale", "padding, outside the scan", "#3b3b4f", "no tissue: HU start at -1024 in 12 bits", _VEIN),
    ("air", "air", "#14213d", "air -1000", _MUDR),
    ("lung", "lung", "#3a86c8", "lungs -950 to -550", _RADGRAY),
    ("mixed", "air and tissue mixed", "#7a6f9b", "no tissue of its own: pixels that hold air and tissue", "ctfast"),
    ("fat", "fat", "#e9c46a", "fat -120 to -90; -100 to -50", f"{_WIKI}; {_MUDR}"),
    ("water", "water and fluids", "#52b8c4", "water 0; fluid 5 to 15", f"{_MUDR}; {_VEIN}"),
    ("soft", "soft tissue", "#c8553d", "blood, liver 45 to 65; haematoma 40 to 90", _MUDR),
    ("contrast", "contrast-filled blood", "#e5397f", "soft tissue with contrast 100 to 300; iodine 100 to 500",
     f"{_WIKI}; {_VEIN}"),
    ("spongy", "spongy bone", "#c9a887", "cancellous bone 300 to 400; spongy bone 50 to 200", f"{_WIKI}; {_RADGRAY}"),
    ("compact", "compact bone", "#98a4b3", "bone 700 to 3000; skull up to 2000", f"{_MUDR}; {_TIP}"),
    ("metal", "metal", "#39ff88", "steel above the top of the scale, 3071", _TIP),
)  # fmt: skip

_BORDERS: Final = (-math.inf, *TISSUE_EDGES, math.inf)

TISSUES: Final[tuple[Tissue, ...]] = tuple(
    Tissue(label, key, name, _BORDERS[label], _BORDERS[label + 1], color, published, source)
    for label, (key, name, color, published, source) in enumerate(_ROWS)
)
"""The tissue of every label that ``ctfast.label_tissue`` gives by default."""

CONTRAST_BAND: Final = (130, 400)
"""HU of contrast-filled blood (and spongy bone), both ends included: its share tells contrast slices from others."""


def palette() -> NDArray[np.uint8]:
    """RGB colour of every label, shape ``(256, 3)``; ``NO_LABEL`` is black."""
    colors = np.zeros((NO_LABEL + 1, 3), np.uint8)
    for tissue in TISSUES:
        colors[tissue.label] = [int(tissue.color[i : i + 2], 16) for i in (1, 3, 5)]
    return colors
