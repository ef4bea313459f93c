"""What mkdocs calls while it builds the site: fills in generated tables, draws the pictures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "kernels"), str(ROOT), str(Path(__file__).parent)]

from pictures import draw  # noqa: E402
from tables import filled  # noqa: E402


def on_config(config: Any) -> Any:
    """Pages that the navigation does not name stand at its end, so that none is lost."""
    named = str(config.nav)
    others = [page.name for page in sorted(Path(config.docs_dir).glob("*.md")) if f"'{page.name}'" not in named]
    if others:
        config.nav.append({"More": others})
    return config


def on_pre_build(config: Any) -> None:
    """The pictures are always of the present code."""
    draw(Path(config.docs_dir) / "pictures")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Tables are always of the present code."""
    return filled(markdown, site=True)
