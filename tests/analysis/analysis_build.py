"""What the tests of the analysis share."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

EVIL = "<img src=x onerror=alert(1)> \"q\" 'a' & $x$"


def page_data(page: Path) -> dict[str, Any]:
    """What the page's scripts read."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found
    return json.loads(found[1])


def body(size: int = 96) -> np.ndarray:
    """A round body of soft tissue with two lungs in air."""
    y, x = np.mgrid[:size, :size] / size - 0.5
    hu = np.full((size, size), -1000, np.int16)
    hu[x**2 + y**2 < 0.16] = 40
    for side in (-0.18, 0.18):
        hu[(x - side) ** 2 + y**2 < 0.02] = -850
    return hu
