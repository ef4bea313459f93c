"""The site is built without network, strictly: a dead link, an anchor that is not there or a name that the reference
does not find is an error.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.report import filled, tables
from ctkernels.contract import OPERATIONS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason="the site is not built: mkdocs is not installed")
    out = tmp_path_factory.mktemp("site")
    env = {**os.environ, "NO_PROXY": "", "HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=env,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_it_has_every_operation_command_and_no_placeholder(site: Path) -> None:
    operations = (site / "operations" / "index.html").read_text(encoding="utf-8")
    for name in OPERATIONS:
        assert f'id="{name}"' in operations
        assert (site / "pictures" / f"{name}.png").stat().st_size > 2000
    assert 'id="ctfast.ops.clahe"' in (site / "reference" / "operations" / "index.html").read_text(encoding="utf-8")
    pages = {page: page.read_text(encoding="utf-8") for page in site.rglob("*.html")}
    assert len(pages) > 20
    assert not [page for page, text in pages.items() if "{{" in text]


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|link)[^>]+(?:src|href)="(https?://[^"]+)', text)
        assert not [url for url in loaded if "canonical" not in url], page


def test_tables_are_those_of_the_results() -> None:
    kinds = ("cpu*", "turns*", "volumes*", "cnn*", "drop_ins*")
    results = [path for kind in kinds for path in sorted((ROOT / "bench" / "results").glob(f"{kind}.json"))]
    for page, parts in tables(results).items():
        assert filled(page, parts) == (ROOT / page).read_text(encoding="utf-8"), f"python bench/report.py: {page}"


@pytest.fixture(scope="module")
def made_parts() -> Any:
    spec = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "site" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["embed.md", "operations.md", "pipelines.md", "run.md"])
def test_made_parts_are_those_of_the_program(page: str, made_parts: Any) -> None:
    if page == "embed.md":
        for partner in ("torch", "jax", "xarray", "dask.array", "SimpleITK", "nibabel"):
            pytest.importorskip(partner, reason=f"the table of embed.md is not compared: {partner} is not installed")
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert "<!-- made: " in text
    assert made_parts.filled(text, site=False) == text, "python docs/site/tables.py writes it"


def test_every_page_with_made_parts_is_compared() -> None:
    pages = [page.name for page in (ROOT / "docs").glob("*.md") if "<!-- made: " in page.read_text(encoding="utf-8")]
    assert sorted(pages) == ["embed.md", "operations.md", "pipelines.md", "run.md"]


def notebooks() -> list[Path]:
    return sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_notebooks_run(path: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason="notebooks are not run: nbclient is not installed")
    nbformat: Any = pytest.importorskip("nbformat")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "kernels"), str(ROOT)]))
    notebook = nbformat.read(path, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "outputs are not kept in the project"
    nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": made}}
    ).execute()
    assert json.dumps(notebook.cells[-1]["outputs"]) != "[]"
