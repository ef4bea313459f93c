"""What to do about a file that is refused, where several readers say the same."""

from __future__ import annotations

from typing import Final

COPY_AGAIN: Final = "copy the file again, it may have been cut off on its way"
WRITE_AGAIN: Final = "write the file anew with the software that made it"
SAVE_AS_TIFF: Final = "save it uncompressed or as deflate, with integers or floats of 8 to 64 bits a pixel"
SAVE_NUMBERS: Final = "save one integer or float of up to 64 bits a pixel"
MORE_MEMORY: Final = "fewer --workers leave more memory to each file"
MORE_BYTES: Final = f"{MORE_MEMORY}, in Python limits=Limits(max_bytes=...)"
MORE_FRAMES: Final = "split the file, or in Python limits=Limits(max_frames=...)"
HIGHER_RATIO: Final = "if it is an image after all, save it uncompressed, or in Python limits=Limits(max_ratio=...)"
