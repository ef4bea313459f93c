"""Lines on a terminal, whatever names of files hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ctfast.batch.cells import printable

if TYPE_CHECKING:
    from rich.console import Console

_ACTIVE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What moves the cursor, begins a line or turns the direction of writing: names could pretend to be our output."""


def one_line(text: str) -> str:
    """The text with escapes for what would be more than characters on this line."""
    return _ACTIVE.sub(lambda found: found[0].encode("unicode_escape").decode(), printable(text))


def print_line(text: str, console: Console) -> None:
    """A line as it is: no colours, no markup (names may hold brackets), not broken (it may be copied)."""
    console.print(one_line(text), highlight=False, markup=False, soft_wrap=True)
