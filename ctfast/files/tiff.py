"""TIFF by tifffile: float64 HU of the Kaggle set, integers, tiles, strips, compression, BigTIFF, stacks of pages.

Policies, each tested:

- Colour (RGB, CMYK, YCbCr), palette and grey with alpha are refused: indices and colours are no intensities.
- 1 bit a pixel is refused (a mask); 2 to 15 unsigned bits are read as uint8 or uint16, values as they are.
- Stacks that ImageJ or tifffile wrote with one directory are read whole; a file that declares more images than it
  holds is refused.
- MINISWHITE is a matter of display where a calibration or HU is known: values stay as they are. Else unsigned values
  are inverted so that larger is brighter (``units="stored"`` and ``"hu"`` keep them), and signed and float MINISWHITE
  is refused under ``units="auto"``, as no maximum is defined to invert about.
- Several full pages must be equal in size and type and become frames; mixed pages are refused, not the first taken.
- Pages marked as reduced images (thumbnails) or masks are left out when full pages are there.
- Pixel data outside the file, missing strips and short strips are refused: nothing is filled with zeros.
- NaN and infinite pixels are kept and counted in ``meta["nonfinite"]``; an image of nothing else is refused.
- Values are HU when the file's own ctfast description says so, or a signed or float file has a Kaggle name.
- The Orientation tag is obeyed; a linear calibration of ImageJ (which holds signed images as unsigned ones plus
  32768) is applied unless ``units="stored"``.
- Resolution tags are print resolution as often as not, so spacing is taken from the ctfast description, from ImageJ
  where it names a unit of length, and from OME-XML.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from ctfast.batch.choices import UnitsChoice
from ctfast.errors import FileFormatError
from ctfast.files import _tiff_check as check
from ctfast.files import _tiff_stack as stack
from ctfast.files._convert import count_nonfinite, linear, room, to_supported
from ctfast.files._own_facts import facts_of_text, number, spacing_of, units_of
from ctfast.files._tiff_plain import PlainPage, may_be_plain, plain_page
from ctfast.files._tiff_spacing import said_spacing
from ctfast.files.geometry import Geometry
from ctfast.files.image import KEPT_DTYPES, Allocate, Image, Limits, MetaValue, Request, Units
from ctfast.files.kaggle import parse_name
from ctfast.files.next_steps import COPY_AGAIN, MORE_FRAMES

_REDUCED_OR_MASK: Final = 1 | 4  # bits of NewSubfileType
_NODATA_TAG: Final = 42113
_ORIENTATION_TAG: Final = 274
# Orientation of TIFF 6.0: whether to transpose, then flip rows, then flip columns.
_TURNS: Final = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def read_tiff(request: Request) -> Image:
    """Read one page as ``(H, W)``, several equal pages as ``(frames, H, W)``.

    Raises:
        FileFormatError: For all that this module refuses.
        MissingDependencyError: If a codec is not installed.
    """
    path, units, allocate = request.path, request.units, request.allocate
    if (image := _plain(request)) is not None:
        return image
    import tifffile

    with tifffile.TiffFile(request.source()) as tif:
        pages = _equal_pages(tif, request.limits)
        first = pages[0]
        calibration = None if units == "stored" else _imagej_calibration(tif)
        facts = facts_of_text(first.description)
        inverted = _must_invert(first, units) if calibration is None and facts.get("units") != "hu" else False
        turn = _turn(first)
        behind = stack.images_behind(tif, pages, request.limits)
        # Pages are decoded into the caller's array only where nothing can change dtype or shape afterwards.
        as_stored = first.dtype.name in KEPT_DTYPES and calibration is None and turn is None
        into = allocate if as_stored else None
        stored = stack.decode_behind(tif, first, behind, into) if behind else _decode(tif, pages, into)
        meta: dict[str, MetaValue] = {
            "stored_dtype": first.dtype.newbyteorder("=").name,
            "photometric": "MINISWHITE" if int(first.photometric) == 0 else "MINISBLACK",
            "compression": str(getattr(first.compression, "name", first.compression)),
            "inverted": inverted,
            **facts,
        }
        if notes := [*filter(None, (stack.missing_note(tif, pages), stack.axes_note(tif)))]:
            meta["notes"] = "; ".join(notes)
        frames = behind or len(pages)
        said = (None, None) if facts else said_spacing(tif, stack.pixels_elements(tif), frames)
        nodata = first.tags.get(_NODATA_TAG)
        padding = number(meta.get("padding")) if nodata is None else number(nodata.value)
        bits = int(first.bitspersample)
    if inverted:
        np.subtract(2**bits - 1, stored, out=stored)
    if turn is not None:
        stored = _turned(stored, *turn)
    spacing, frame_spacing = said
    if spacing is not None:
        meta["spacing_row"], meta["spacing_column"] = spacing[::-1] if turn is not None and turn[0] else spacing
    if frame_spacing is not None:
        meta["slice_spacing"] = frame_spacing
    if as_stored:
        pixels = stored
    elif calibration is None:
        pixels = to_supported(stored, allocate)
    else:
        pixels = linear(stored, *calibration, allocate, narrow=True)
        meta["rescale_slope"], meta["rescale_intercept"] = calibration
    return _image(path, pixels, _units_of(path, first.dtype, facts), padding, meta)


def _plain(request: Request) -> Image | None:
    """The image of a plain file; None where tifffile has to look."""
    if request.data is None and not may_be_plain(request.head, request.size()):
        return None
    page = plain_page(request.whole())
    if page is None or page.pixels.nbytes > request.limits.max_bytes:
        return None
    return plain_image(request.path, page, to_supported(page.pixels, request.allocate))


def plain_image(path: Path, page: PlainPage, pixels: np.ndarray) -> Image:
    """The image of a plain file whose stored pixels became ``pixels``."""
    facts = facts_of_text(page.description)
    name = page.pixels.dtype.newbyteorder("=").name
    meta = {
        "stored_dtype": name,
        "photometric": "MINISBLACK",
        "compression": page.compression,
        "inverted": False,
        **facts,
    }
    return _image(path, pixels, _units_of(path, page.pixels.dtype, facts), number(meta.get("padding")), meta)


def _image(path: Path, pixels: np.ndarray, units: Units, padding: float | None, meta: dict[str, MetaValue]) -> Image:
    meta.update(count_nonfinite(pixels))
    geometry = Geometry.parse(str(meta.pop("affine", "")))
    return Image(pixels, units, path, "tiff", padding, spacing_of(meta), meta, geometry)


def _equal_pages(tif: Any, limits: Limits) -> list[Any]:
    """The pages that are frames, each fit to be decoded, all alike, together within the limits."""
    pages = _full_pages(tif, limits)
    first = pages[0]
    for page in pages:
        check.check_page(page, tif.filehandle.size)
        if _kind(page) != _kind(first):
            raise FileFormatError(
                f"page {page.index} ({_describe(page)}) differs from the first ({_describe(first)})",
                "split the file, or keep the pages that belong together",
            )
    check.check_size(pages, limits)
    return pages


def _full_pages(tif: Any, limits: Limits) -> list[Any]:
    if len(tif.pages) > limits.max_frames:
        raise FileFormatError(f"{len(tif.pages)} pages; the limit is {limits.max_frames}", MORE_FRAMES)
    pages = list(tif.pages)
    if not pages:
        raise FileFormatError("no page (image file directory) in the file", COPY_AGAIN)
    full = [page for page in pages if not (int(page.subfiletype) & _REDUCED_OR_MASK)]
    return full or pages


def _kind(page: Any) -> tuple[object, ...]:
    return page.imagelength, page.imagewidth, page.dtype, int(page.photometric), page.bitspersample


def _describe(page: Any) -> str:
    return f"{page.imagelength} x {page.imagewidth} {page.dtype}"


def _decode(tif: Any, pages: list[Any], allocate: Allocate | None) -> np.ndarray:
    """All pages, decoded by this thread alone: the caller has its own pool and knows how busy the machine is."""
    for page in pages:
        check.check_streams(page, tif.filehandle)
    shape = (pages[0].imagelength, pages[0].imagewidth)
    out = room(shape if len(pages) == 1 else (len(pages), *shape), pages[0].dtype.newbyteorder("="), allocate)
    for frame, page in zip(out.reshape(-1, *shape), pages, strict=True):
        page.asarray(maxworkers=1, out=frame)
    return out


def _turn(page: Any) -> tuple[bool, bool, bool] | None:
    tag = page.tags.get(_ORIENTATION_TAG)
    return None if tag is None else _TURNS.get(tag.value)


def _turned(stored: np.ndarray, transpose: bool, rows: bool, columns: bool) -> np.ndarray:
    """Rows from the top and columns from the left, whatever order the file has them in."""
    if transpose:
        stored = stored.swapaxes(-1, -2)
    return stored[..., :: -1 if rows else 1, :: -1 if columns else 1]


def _imagej_calibration(tif: Any) -> tuple[float, float] | None:
    """Slope and intercept of ImageJ's straight-line calibration, where there is one that changes anything."""
    facts = (tif.imagej_metadata or {}) if tif.is_imagej else {}
    if facts.get("cf") != 0 or "c0" not in facts or "c1" not in facts:
        return None
    intercept, slope = float(facts["c0"]), float(facts["c1"])
    usable = np.isfinite(slope) and np.isfinite(intercept) and slope != 0
    return (slope, intercept) if usable and (slope, intercept) != (1.0, 0.0) else None


def _must_invert(page: Any, units: UnitsChoice) -> bool:
    if int(page.photometric) != 0 or units != "auto":
        return False
    if page.dtype.kind != "u":
        raise FileFormatError(
            f"MINISWHITE with {page.dtype.name} values has no defined maximum to invert about",
            'give units="stored" or units="hu" to take the values as they are',
        )
    return True


def _units_of(path: Path, dtype: np.dtype, facts: dict[str, MetaValue]) -> Units:
    if "ctfast" in facts:
        return units_of(facts)
    named = parse_name(path.name) is not None
    return "hu" if named and dtype.kind in "if" else "unknown"
