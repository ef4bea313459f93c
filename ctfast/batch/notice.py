"""What stands wherever a result is shown."""

from __future__ import annotations

from typing import Final

NOT_A_DEVICE: Final = "Not a medical device: not for diagnosis."
