"""The tables of public names: types and run time read the same, and a plain installation can look at all of them."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = ("ctfast", "ctfast.analysis", "ctfast.files", "ctfast.model")

PLAIN = """
import sys
# As if only the base packages were installed.
for name in ("cupy flatbuffers flax h5py imagecodecs jax jaxlib jinja2 matplotlib nibabel onnx optax orbax PIL pydicom "
             "pylibjpeg scipy sklearn torch").split():
    sys.modules[name] = None
"""


def table(package: str) -> dict[str, str]:
    """Name and home, as a type checker reads them."""
    path = Path(importlib.import_module(package).__file__ or "").with_suffix(".pyi")
    imports = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ImportFrom)]
    assert all(len(node.names) == 1 and node.names[0].name == node.names[0].asname for node in imports)
    return {node.names[0].name: node.module or "" for node in imports}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_of_the_table_is_found_where_it_says(package: str) -> None:
    module = importlib.import_module(package)
    assert sorted(module.__all__) == sorted(table(package))
    for name, home in table(package).items():
        value = getattr(module, name)
        assert value is (
            getattr(importlib.import_module(f"{package}.{home}"), name) if home else sys.modules[value.__name__]
        )
        assert vars(module)[name] is value, "the next use need not look it up"
        assert name in dir(module)
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'median'"):
        _ = module.median


def outputs(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", PLAIN + code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize("package", PACKAGES)
def test_a_plain_installation_can_look_at_every_name(package: str) -> None:
    code = f"import inspect, pydoc, {package} as m\nprint(len(inspect.getmembers(m)), len(pydoc.render_doc(m)))\n"
    members, text = outputs(code + f"from {package} import *")[0].split()
    assert int(members) > 20
    assert int(text) > 10_000


def test_what_needs_an_extra_is_left_out_of_a_plain_installation_and_says_which() -> None:
    code = """
import ctfast
print("CTClassifier" in dir(ctfast), "fit" in dir(ctfast.model), "load_dataset" in dir(ctfast.model))
from ctfast import *
print("CTClassifier" in globals(), "median_filter" in globals())
for use in ("ctfast.CTClassifier", "ctfast.model.fit"):
    try:
        eval(use)
    except ctfast.errors.MissingDependencyError as error:
        print(error)
try:
    from ctfast.model import Sequential4
except ImportError as error:
    print(error)
"""
    assert outputs(code) == [
        "False False True",
        "False True",
        *(
            f'{name} needs jax: pip install "ctfast[nn]"'
            for name in ("ctfast.CTClassifier", "ctfast.model.fit", "ctfast.model.Sequential4")
        ),
    ]
