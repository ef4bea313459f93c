"""The files that packages are made of say the same: version, dependencies, extras, licence."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path

import ctfast

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_one_version() -> None:
    version = PROJECT["version"]
    assert ctfast.__version__ == version
    assert f"\nversion: {version}\n" in text("CITATION.cff")
    assert f"\n  version: {version}\n" in text("packaging/conda/recipe.yaml")
    assert f"\n## {version} " in text("CHANGELOG.md")


def test_the_conda_recipe_needs_what_the_wheel_needs() -> None:
    listed = text("packaging/conda/recipe.yaml").partition("\n  run:\n")[2].partition("\n\n")[0]
    run = [line.removeprefix("    - ").replace(" ", "") for line in listed.splitlines()]
    assert run[0].startswith("python>=")
    assert run[1:] == PROJECT["dependencies"]


def test_the_container_installs_extras_that_there_are() -> None:
    asked = re.findall(r"^ARG EXTRAS=(.+)$", text("packaging/Containerfile"), re.M)
    assert asked
    assert set(",".join(asked).split(",")) <= set(PROJECT["optional-dependencies"])


def test_the_install_page_names_every_extra() -> None:
    page = text("docs/install.md")
    ours = {e for e in PROJECT["optional-dependencies"] if e not in ("dev", "docs") and not e.endswith("-test")}
    assert not {e for e in ours if f"`{e}`" not in page}


def test_the_bill_of_materials_is_that_of_pyproject() -> None:
    spec = importlib.util.spec_from_file_location("sbom", ROOT / "packaging" / "sbom.py")
    assert spec is not None
    assert spec.loader is not None
    sbom = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sbom)
    assert text("packaging/ctfast.cdx.json") == sbom.text(), "python packaging/sbom.py writes it"
    named = {component["name"] for component in sbom.bill()["components"]}
    assert {"numpy", "filelock", "pydicom", "jax"} <= named
