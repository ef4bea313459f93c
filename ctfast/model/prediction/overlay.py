"""The picture of an explanation: the slice, the map over it, probabilities, and what it is not."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctfast.batch.atomic import replacing
from ctfast.batch.notice import NOT_A_DEVICE
from ctfast.errors import missing_extra

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from PIL.ImageDraw import ImageDraw

_RAMP: Final = ((81, 18, 124), (183, 55, 121), (252, 137, 97), (252, 253, 191))
"""Violet through orange to light yellow (after Matplotlib's magma, CC0); its dark end would hide the slice."""
_STRONGEST: Final = 0.7
"""Share of the colour over the slice where the map is highest; where it is zero the slice shows as it is."""
_SIDE: Final = 256
_MARGIN: Final = 12
_BARS_CM: Final = (10, 5, 2, 1, 0.5, 0.2)
_LINE: Final = 18
_STAMP: Final = "ctfast"
_OPPOSITE: Final = dict(zip("LRAPSI", "RLPAIS", strict=True))
_BACK, _INK, _FAINT, _BAR = (255, 255, 255), (20, 20, 20), (110, 110, 110), (70, 110, 170)


def draw_overlay(
    image: NDArray[np.uint16],
    heat: NDArray[np.float32],
    probabilities: NDArray[np.float32],
    classes: Sequence[str],
    *,
    title: str,
    subtitle: str,
    pixel_mm: tuple[float, float] | None = None,
    in_plane: str = "",
    remarks: Sequence[str] = (),
) -> Picture:
    """A picture of two panels with its words.

    Args:
        image: ``(H, W)`` or ``(H, W, 3)``: the slice as the network sees it.
        heat: ``(H, W)``, 0 and above; scaled to its own highest value.
        probabilities: ``(classes,)``.
        classes: Their names.
        title: First line, such as the file's name.
        subtitle: Second line, such as method and model.
        pixel_mm: Height and width of a pixel, for the scale bar.
        in_plane: Letters that columns and rows run to in the patient, such as ``"LP"``.
        remarks: Further lines, such as how far the map can be trusted.

    Raises:
        MissingDependencyError: If Pillow is not installed.
    """
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise missing_extra("explanations need Pillow", "report") from error
    factor = max(1, -(-_SIDE // max(image.shape[:2])))
    original = _enlarged(_as_rgb(image), factor)
    mixed = _enlarged(blend(image, heat), factor)
    height, width = original.shape[:2]
    lines = [*remarks, *([] if pixel_mm else ["no scale bar: the file does not tell its pixel spacing"])]
    lines += [] if in_plane else ["which side is the patient's left is not known: the file does not tell"]
    top, bottom = _MARGIN + 2 * _LINE, _LINE * (len(classes) + 2 + len(lines))
    canvas = Image.new("RGB", (2 * width + 3 * _MARGIN, top + height + _MARGIN + bottom + _MARGIN), _BACK)
    for k, panel in enumerate((original, mixed)):
        canvas.paste(Image.fromarray(panel), (_MARGIN + k * (width + _MARGIN), top))
    draw = ImageDraw.Draw(canvas)
    if pixel_mm is not None:
        _scale_bar(draw, (_MARGIN, top), (height, width), pixel_mm[1] / factor)
    _letters(draw, (_MARGIN, top), (height, width), in_plane)
    room = canvas.width - 2 * _MARGIN
    _text(draw, (_MARGIN, _MARGIN - 4), title, room, _INK)
    _text(draw, (_MARGIN, _MARGIN - 4 + _LINE), subtitle, room, _FAINT)
    y = top + height + _MARGIN
    best = int(probabilities.argmax())
    for k, name in enumerate(classes):
        _bar(draw, y, room, name, float(probabilities[k]), chosen=k == best)
        y += _LINE
    spoke = f"light: speaks most for {classes[best]}" if heat.max() > 0 else f"nothing speaks for {classes[best]}"
    _text(draw, (_MARGIN, y), f"left: the slice as the network sees it; right, {spoke}", room, _FAINT)
    for line in (*lines, NOT_A_DEVICE):
        y += _LINE
        _text(draw, (_MARGIN, y), line, room, _INK)
    return canvas


def save_overlay(path: Path, picture: Picture, stamp: str = "") -> None:
    """Write a picture as PNG, whole or not at all; folders are made. ``stamp`` says what it is of."""
    from PIL.PngImagePlugin import PngInfo

    words = PngInfo()
    words.add_text(_STAMP, stamp)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, "wb") as file:
        picture.save(file, "png", compress_level=3, pnginfo=words)  # level 6 is 4 % smaller and takes twice as long


def stamp_of(path: Path) -> str:
    """The stamp of a saved picture; empty where there is none."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return str(picture.info.get(_STAMP, ""))
    except (OSError, ValueError):
        return ""


def blend(image: NDArray[np.uint16], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The map's colours over the slice ``(H, W, 3)``: the higher, the less of the slice shows."""
    highest = float(heat.max())
    share = heat / highest if highest > 0 else np.zeros_like(heat)
    positions = np.linspace(0, 1, len(_RAMP))
    color = np.stack([np.interp(share, positions, [c[k] for c in _RAMP]) for k in range(3)], axis=-1)
    strength = _STRONGEST * share[..., np.newaxis]
    return np.rint(strength * color + (1 - strength) * _as_rgb(image)).astype(np.uint8)


def _as_rgb(image: NDArray[np.uint16]) -> NDArray[np.uint8]:
    levels = (image >> 8).astype(np.uint8)
    return levels if levels.ndim == 3 else np.repeat(levels[..., np.newaxis], 3, axis=-1)


def _enlarged(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    return np.ascontiguousarray(pixels.repeat(factor, axis=0).repeat(factor, axis=1))


def _bar(draw: ImageDraw, y: int, room: int, name: str, share: float, *, chosen: bool) -> None:
    label, number = room * 2 // 5, 52
    length = room - label - number
    _text(draw, (_MARGIN, y), name, label - 6, _INK if chosen else _FAINT)
    left = _MARGIN + label
    draw.rectangle((left, y + 4, left + length, y + _LINE - 5), outline=_FAINT)
    if round(share * length) > 0:
        draw.rectangle((left, y + 4, left + round(share * length), y + _LINE - 5), fill=_BAR if chosen else _FAINT)
    _text(draw, (left + length + 8, y), f"{share:.3f}", number, _INK if chosen else _FAINT)


def _scale_bar(draw: ImageDraw, corner: tuple[int, int], size: tuple[int, int], mm: float) -> None:
    """A bar of a round length in the left picture's lower left, at most a third of its width."""
    length = next((cm for cm in _BARS_CM if 10 * cm / mm <= size[1] / 3), None)
    if length is None:
        return
    pixels = round(10 * length / mm)
    left, bottom = corner[0] + 8, corner[1] + size[0] - 8
    draw.rectangle((left - 1, bottom - 4, left + pixels + 1, bottom + 1), fill=_INK)
    draw.rectangle((left, bottom - 3, left + pixels, bottom), fill=_BACK)
    _on_slice(draw, (left, bottom - 6), f"{length:g} cm", "ls")


def _letters(draw: ImageDraw, corner: tuple[int, int], size: tuple[int, int], in_plane: str) -> None:
    """Where the left picture's right and lower edge lie in the patient, and opposite."""
    if len(in_plane) != 2:
        return
    (left, top), (height, width) = corner, size
    columns, rows = in_plane[0], in_plane[1]
    _on_slice(draw, (left + width - 4, top + height // 2), columns, "rm")
    _on_slice(draw, (left + 4, top + height // 2), _OPPOSITE[columns], "lm")
    _on_slice(draw, (left + width // 2, top + height - 4), rows, "ms")
    _on_slice(draw, (left + width // 2, top + 4), _OPPOSITE[rows], "mt")


def _on_slice(draw: ImageDraw, place: tuple[int, int], text: str, anchor: str) -> None:
    draw.text(place, text, fill=_BACK, font=_font().face, anchor=anchor, stroke_width=1, stroke_fill=_INK)


def _text(draw: ImageDraw, corner: tuple[int, int], text: str, room: int, color: tuple[int, int, int]) -> None:
    """One line, shortened in its middle to fit."""
    font = _font()
    whole = "".join(c if c.isprintable() and (ord(c) < 256 or font.is_wide) else "?" for c in text)
    shown, left = whole, len(whole)
    while left > 4 and draw.textlength(shown, font=font.face) > room:
        left -= max(1, left // 16)
        shown = f"{whole[: left // 2]}...{whole[len(whole) - left // 2 :]}"
    draw.text(corner, shown, fill=color, font=font.face)


class _Font(NamedTuple):
    face: Any
    is_wide: bool
    """Whether it has more than Latin letters."""


@lru_cache(maxsize=1)
def _font() -> _Font:
    """The font that comes with Matplotlib (Latin, Greek, Cyrillic and more) where it is installed, else Pillow's."""
    from PIL import ImageFont

    package = find_spec("matplotlib")
    if package is not None and package.origin is not None:
        file = Path(package.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        try:
            return _Font(ImageFont.truetype(str(file), 12), True)
        except OSError:
            pass  # another layout of that package: Pillow's own font does
    return _Font(ImageFont.load_default(12), False)
