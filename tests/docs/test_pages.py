"""Every code block of the pages is executed, in order, in a folder with made-up slices.

Python blocks of a page share their names, as in a notebook; TOML blocks with a title are files. A block that can't be
run here has ``<!-- not run: reason -->`` above it; the reasons are said at the end of a run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK: Final = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+) -->\n)?"
    r'```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A code block of a page."""

    page: Path
    line: int
    language: str
    title: str | None
    text: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = [
        Block(page, text.count("\n", 0, m.start("language")) + 1, m["language"], m["title"], m["text"], m["reason"])
        for m in BLOCK.finditer(text)
    ]
    assert text.count("\n```") + text.startswith("```") == 2 * len(found), f"{page.name} has a block that is not seen"
    return found


def run_block(block: Block, names: dict[str, Any]) -> None:
    if block.language == "python":
        # Lines of a traceback are those of the page.
        exec(compile("\n" * block.line + block.text, str(block.page), "exec"), names)
    elif block.language == "bash":
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        env = {**os.environ, "PATH": path, "PYTHONPATH": os.pathsep.join([str(ROOT / "kernels"), str(ROOT)])}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.text], capture_output=True, text=True, check=False, env=env
        )
        assert done.returncode == 0, f"{block} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    elif block.language == "toml":
        assert tomllib.loads(block.text)
        Path(block.title or "unnamed.toml").write_text(block.text, encoding="utf-8")
    else:
        assert block.language == "text", f"{block}: {block.language} blocks are not executed: use bash, python or toml"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_blocks(page: Path, made: Path) -> None:
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks(page):
        if block.reason is None:
            run_block(block, names)


@pytest.mark.parametrize("block", [b for page in PAGES for b in blocks(page) if b.reason], ids=str)
def test_blocks_that_are_not_run(block: Block) -> None:
    pytest.skip(f"a code block of {block.page.name} is not run: {block.reason}")


def test_a_wrong_block_is_found(made: Path) -> None:
    for language, text in (("python", "assert 1 == 2\n"), ("bash", "ctfast run nowhere --out x --preset lung\n")):
        with pytest.raises(AssertionError):
            run_block(Block(ROOT / "x.md", 1, language, None, text, None), {})
