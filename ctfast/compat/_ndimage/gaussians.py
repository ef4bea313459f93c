"""Gaussians and their derivatives."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from ctfast import ops
from ctfast.compat._homes import HOST, OF_IMAGES, Array, Home
from ctfast.compat._ndimage.arguments import (
    LONGEST,
    REAL,
    an_axis,
    is_plain,
    modes_of,
    reaches,
)
from ctfast.compat._ndimage.moving import moved_back, wanted_dtype
from ctfast.dispatch.kinds import MAX_ORDER


def is_negative(sigma: Any) -> bool:
    """Whether a blur is, or one of several: SciPy takes it for nothing, scikit-image and cuCIM refuse it."""
    try:
        return bool(np.min(sigma) < 0)
    except (TypeError, ValueError):  # the original says what is wrong with it
        return False


def gaussian(
    image: Any,
    sigma: Any,
    order: Any,
    output: Any,
    mode: Any,
    cval: Any,
    truncate: Any,
    radius: Any,
    axes: Any,
    home: Home = HOST,
) -> Array | None:
    """The Gaussian, and its derivatives where the result is a float."""
    x = home.array(image)
    if x is None or x.dtype not in OF_IMAGES:
        return None
    wanted = wanted_dtype(output, x.shape, x.dtype, home)
    if wanted is None or wanted not in OF_IMAGES:
        return None
    asked = (sigma, order, mode, cval, truncate, radius, axes)
    blur = (_blur if all(map(is_plain, asked)) else _blur.__wrapped__)(x.ndim, wanted.kind != "f", *asked)
    if blur is None or ("constant" in blur.borders and not reaches(wanted, cval)):
        return None
    if len(blur.used) > 3:
        for part in (blur.used[:3], blur.used[3:]):
            sides = [[values[a] for a in part] for values in (blur.sigmas, blur.orders, blur.borders, blur.radii)]
            reach = None if radius is None else sides[3]
            target = output if part[-1] == blur.used[-1] else wanted
            x = gaussian(x, sides[0], sides[1], target, sides[2], cval, truncate, reach, part, home)
        return x

    def run(batch: Array, behind: list[int], out: Array) -> None:
        ops.gaussian_filter(batch, out=out, **(blur.usual if behind == blur.used else blur.along(behind)))

    used = [a + (x.ndim == 1) for a in blur.used]
    # A derivative's border is that of what the axes before it made.
    return moved_back(run, x.astype(wanted, copy=False), used, output, wanted, home, keep_order=any(blur.orders))


class _Blur:
    """SciPy's arguments, understood: for each axis of the image."""

    def __init__(self, used: list[int], fixed: dict[str, Any], per_axis: tuple[tuple[Any, ...], ...], radius: bool):
        self.used, self.fixed = used, fixed
        self.sigmas, self.orders, self.borders, self.radii = per_axis
        self.has_radius = radius
        self.usual = self.along(used) if len(self.sigmas) > 1 else {}
        """Ours where no axis moves: the very same objects at each call, which ``ops`` knows again."""

    def along(self, axes: list[int]) -> dict[str, Any]:
        """Our arguments for these axes; a line has one in front that is none of SciPy's."""
        line = int(len(self.sigmas) == 1)

        def of(values: tuple[Any, ...], rest: Any) -> Any:
            return tuple(values[a - line] if a >= line else rest for a in axes)

        return {
            "sigma": of(self.sigmas, 0.0),
            "mode": of(self.borders, "nearest"),
            "order": of(self.orders, 0),
            "radius": of(self.radii, 0) if self.has_radius else None,
            **self.fixed,
        }


@lru_cache(maxsize=256, typed=True)
def _blur(
    ndim: int, whole: bool, sigma: Any, order: Any, mode: Any, cval: Any, truncate: Any, radius: Any, axes: Any
) -> _Blur | None:
    """None for what SciPy has to judge; kept between calls, as to find it out takes as long as a tenth of a slice."""
    if not isinstance(truncate, int | float):
        return None
    sigmas = an_axis(sigma, axes, ndim, 0.0, REAL)
    orders = an_axis(order, axes, ndim, 0, int)
    borders = modes_of(mode, cval, axes, ndim)
    radii = an_axis(0 if radius is None else radius, axes, ndim, 0, int)
    if not (sigmas and orders and borders and radii):
        return None
    sigmas = tuple(float(s) if s > 1e-15 else 0.0 for s in sigmas)  # SciPy's limit of what is nothing
    used = [a % ndim for a in (range(ndim) if axes is None else axes) if sigmas[a % ndim]]
    if not used or min(sigmas) < 0 or not all(0 <= o <= MAX_ORDER for o in orders) or (whole and any(orders)):
        return None  # integers of SciPy's derivatives wrap around
    if radius is None:
        known = math.isfinite(truncate) and 0 < max(sigmas) * truncate < LONGEST
    else:
        known = all(0 <= r < LONGEST for r in radii)
    if not known or (len(used) > 3 and whole):  # integers would be rounded twice
        return None
    fixed = {"truncate": 4.0 if radius is not None else float(truncate), "cval": float(cval)}
    return _Blur(used, fixed, (sigmas, orders, borders, radii), radius is not None)
