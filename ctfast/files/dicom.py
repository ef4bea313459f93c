"""DICOM by pydicom: values of the modality (HU for CT), never display values.

Policies, each tested:

- Rescale Slope and Intercept (or the Modality LUT) are applied; whole-number results are int16 where they fit.
- CT with rescale is HU; MR and others keep stored values and are called so. Localizers, secondary captures and values
  of another Rescale Type are never called HU.
- MONOCHROME1 is a matter of display (PS3.3 C.7.6.3.1.2: white is the minimum *after* all grey-scale transforms), so
  HU are not inverted. Two exceptions under ``units="auto"``, both named in ``meta["inverted"]``: values without a
  unit are inverted within their bits so that larger is brighter, and so is a "HU" image whose median as tagged lies
  over +1000 (denser than bone) but not once inverted: its writer inverted the stored values.
- Bits above Bits Stored are dropped (overlays, junk). Padding whose value lies up there, or is the largest, becomes one
  less than the darkest value that can be stored, and ``Image.padding`` says so: it is never bright.
- Pixel Padding Value is read in the pixels' own signedness (63536 in a signed image is -2000) and rescaled. Where no
  pixel has it and all that lies below air has one value (a copy by SimpleITK), that value is padding, with a note.
- Multi-frame files become ``(frames, H, W)`` in the file's order, each frame by its own rescale; why no one place in
  the patient is right for all, a note says.
- Through a look-up table, and in frames that are rescaled apart, padding gets one value: its darkest.
- No preamble or no meta header: read, if it looks like a data set and has pixels. Colour and palette: refused.
- Compression with loss, which changes HU, is told: where the header says it, also of files that were decompressed
  since, or the stream.
- Too few bytes for the declared size, or as many as a further frame needs: refused.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from ctfast.batch.choices import UnitsChoice
from ctfast.errors import FileFormatError
from ctfast.files import _dicom_padding as pad
from ctfast.files import _dicom_rescale as modality
from ctfast.files._convert import count_nonfinite, put
from ctfast.files._dicom_faults import harmless_faults
from ctfast.files._dicom_geometry import geometry, spacing
from ctfast.files._dicom_layout import Layout, layout
from ctfast.files._dicom_loss import loss
from ctfast.files._dicom_meta import collect, wanted
from ctfast.files._dicom_pixels import decode
from ctfast.files._dicom_scan import scan
from ctfast.files._dicom_stored_bits import drop_unused_bits
from ctfast.files._dicom_tags import has
from ctfast.files.image import Allocate, Image, Limits, Request, Units
from ctfast.files.kaggle import parse_name
from ctfast.files.next_steps import COPY_AGAIN, MORE_BYTES, WRITE_AGAIN
from ctfast.files.units import UNSPECIFIED

_DEFLATED: Final = b"1.2.840.10008.1.2.1.99"
_SCAN_BYTES: Final = 64 << 20
_IMPOSSIBLE_MEDIAN_HU: Final = 1000.0


def read_dicom(request: Request) -> Image:
    """Read a DICOM image.

    Raises:
        FileFormatError: For all that this module refuses.
        MissingDependencyError: If a decoder is not installed.
    """
    path, limits = request.path, request.limits
    parse_name(path.name)
    ds = _data_set(request)
    lay = layout(ds, limits)
    padding, limit_value = (pad.declared(ds, f"PixelPadding{which}", lay) for which in ("Value", "RangeLimit"))
    raw = decode(ds, lay, limits)
    padding = pad.of_sixteen_bits(raw, padding, lay)
    stored, padding = drop_unused_bits(raw, lay, padding, limit_value)
    meta = collect(ds)
    meta["stored_dtype"] = stored.dtype.name
    pixels, units, rescales, inverted = _values(ds, stored, lay, request.units, request.allocate)
    meta["inverted"] = inverted
    if rescales:
        meta["rescale_slope"], meta["rescale_intercept"] = rescales[0].slope, rescales[0].intercept
        meta["rescale_type"], meta["rescale_per_frame"] = rescales[0].kind, len(rescales) > 1
    if padding == lay.below:
        limit_value = None  # all of the range has the one value now
    if len(rescales) > 1 or _has_table(ds, request.units):
        darkest = None if padding is None else pad.made_one(pixels, stored, padding, limit_value)
        limit_value = None
    else:
        darkest = _in_units(padding, lay, rescales, inverted)
    meta["padding_range_limit"] = _in_units(limit_value, lay, rescales, inverted)
    meta.update(count_nonfinite(pixels))
    size, source = spacing(ds)
    affine, lacking = geometry(ds, lay.frames, size)
    if affine is not None:
        meta["orientation"], meta["slice_spacing"] = affine.orientation, affine.spacing[0]
    if source:
        meta["spacing_from"] = source
    image = Image(pixels, units, path, "dicom", darkest, size, meta, affine)
    if lost := loss(ds, lay.frames):
        meta["loss"] = lost
    for note in [*harmless_faults(ds), *filter(None, [lost, lacking])]:
        image = replace(image, meta=image.noted(note))
    return noted(image, request.units, pad.lost(image.pixels, image.padding_range, image.units))


def noted(image: Image, choice: UnitsChoice, found: float | None) -> Image:
    """With notes on what other software left behind when it rewrote the file.

    Args:
        image: as read.
        choice: the units that were asked for.
        found: what stands for padding in place of what is declared.
    """
    if found is not None:
        low, high = image.padding_range or (found, found)
        declared = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        note = f"the declared padding {declared} is in no pixel: {found:g} is taken for padding (rewritten?)"
        image = replace(image, padding=found, meta={**image.noted(note), "padding_range_limit": None})
    if choice == "auto" and image.units == UNSPECIFIED and image.meta.get("modality") == "CT":
        note = "Rescale Type US (unspecified) in CT, as SimpleITK writes it: --units hu (units='hu') if they are HU"
        image = replace(image, meta=image.noted(note))
    return image


def _data_set(request: Request) -> Any:
    """The wanted elements, by the quick look where it will do, else by pydicom."""
    head = request.head
    if _DEFLATED in head:
        with request.open() as file:
            _check_inflated_size(file, head, request.limits)
    bare = head[128:132] != b"DICM"
    plain = not bare and (request.data is not None or request.size() <= _SCAN_BYTES)
    ds: Any = scan(request.whole()) if plain else None
    if ds is None:
        import pydicom

        ds = pydicom.dcmread(request.source(), force=bare, specific_tags=wanted())
    if bare and not (has(ds, "Modality") or has(ds, "SOPClassUID")):
        raise FileFormatError(
            "no DICOM preamble, and no data set that names its kind",
            f"{COPY_AGAIN}, or give it the extension of its format",
        )
    return ds


def read_header(path: Path, head: bytes, limits: Limits, tags: Sequence[str | int]) -> Any:
    """These elements of a file up to its pixels, by pydicom.

    Raises:
        FileFormatError: For a deflated data set beyond the limits, which is inflated whole.
    """
    import pydicom

    if _DEFLATED in head:
        with path.open("rb") as file:
            _check_inflated_size(file, head, limits)
    return pydicom.dcmread(path, force=head[128:132] != b"DICM", specific_tags=list(tags), stop_before_pixels=True)


def _values(
    ds: Any, stored: np.ndarray, lay: Layout, choice: UnitsChoice, allocate: Allocate | None
) -> tuple[np.ndarray, Units, list[modality.Rescale], bool]:
    """Pixels in the units asked for, these units, the rescale used and whether stored values were inverted."""
    if choice == "stored":
        return modality.apply(stored, [], allocate), "stored", [], False
    if _has_table(ds, choice):
        pixels = modality.apply_lut(stored, ds, allocate)
        return pixels, "hu" if modality.lut_kind(ds) == "HU" else "unknown", [], False
    rescales = modality.rescales(ds, lay.frames)
    units = modality.units(ds, rescales)
    dark_is_high = lay.white_is_low and stored.dtype.kind in "iu"
    if choice != "auto" or not dark_is_high:
        return modality.apply(stored, rescales, allocate), units, rescales, False
    pixels, upside_down = modality.apply(stored, rescales), modality.apply(_invert(stored, lay), rescales)
    inverted = units != "hu" or bool(np.median(pixels) > _IMPOSSIBLE_MEDIAN_HU >= np.median(upside_down))
    chosen = upside_down if inverted else pixels
    return put(chosen, chosen.dtype, allocate), units, rescales, inverted


def _has_table(ds: Any, choice: UnitsChoice) -> bool:
    return choice != "stored" and has(ds, "ModalityLUTSequence")


def _invert(stored: np.ndarray, lay: Layout) -> np.ndarray:
    top = -1 if lay.signed else (1 << lay.stored) - 1
    inverted = (top - stored.astype(np.int64)).astype(np.int32 if lay.allocated < 32 else np.int64)
    return np.where(stored == lay.below, inverted.dtype.type(lay.below), inverted)  # padding stays dark


def _in_units(value: int | None, lay: Layout, rescales: list[modality.Rescale], inverted: bool) -> float | None:
    if value is None:
        return None
    if inverted and value != lay.below:
        value = (-1 if lay.signed else (1 << lay.stored) - 1) - value
    return value * rescales[0].slope + rescales[0].intercept if rescales else float(value)


def _check_inflated_size(file: IO[bytes], head: bytes, limits: Limits) -> None:
    """Inflate a deflated data set in pieces and count, as pydicom inflates it whole."""
    if head[132:140] != b"\x02\0\0\0UL\x04\0":
        raise FileFormatError("deflated, but without the group length that says where the data begin", WRITE_AGAIN)
    inflate = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    total = 0
    file.seek(144 + int.from_bytes(head[140:144], "little"))
    while piece := file.read(1 << 16):
        while piece:
            total += len(inflate.decompress(piece, 1 << 22))
            if total > limits.max_bytes:
                raise FileFormatError(f"inflates to over {limits.max_bytes} bytes", MORE_BYTES)
            piece = inflate.unconsumed_tail
