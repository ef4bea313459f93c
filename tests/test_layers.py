"""Who may import what (the table of the design), and what `import ctfast` must not pull in."""

from __future__ import annotations

import ast
import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

from ctkernels.contract import OPERATIONS

ROOT = Path(__file__).resolve().parents[1]

HEAVY = {"numba", "cupy", "jax", "flax", "optax", "torch", "scipy", "cv2", "skimage", "matplotlib"}

# place (a file, or a folder with everything below it) -> what it must never import
ROOMS = {f"ctfast.{name}" for name in ("analysis", "batch", "cli", "files", "model", "runner", "tools")}
"""Packages that know arrays' files, many files, or commands: what computes on arrays knows none of them."""
FORMATS = {"tifffile", "pydicom", "nibabel", "imagecodecs"}
KERNELS = {"ctkernels.cpu", "ctkernels.gpu", "ctkernels.reference"}
COMPUTING = {f"ctfast.{name}" for name in ("ops", "pipeline", "presets", "backend")} | {
    f"ctfast.dispatch.{path.stem}" for path in (ROOT / "ctfast" / "dispatch").glob("*.py") if path.stem != "lazy"
}
"""What runs operations. ``dispatch.lazy`` only finds public names, in every package."""

FORBIDDEN = {
    "kernels/ctkernels/contract.py": HEAVY | {"numpy", "ctfast"},
    "kernels/ctkernels/reference.py": HEAVY | {"ctfast", "ctkernels.cpu", "ctkernels.gpu", "threading"},
    "kernels/ctkernels/testing.py": HEAVY | {"ctfast"},
    "kernels/ctkernels/shared": HEAVY | FORMATS | {"ctfast", "ctkernels.cpu", "ctkernels.gpu"},
    "kernels/ctkernels/cpu": (HEAVY - {"numba"}) | FORMATS | {"ctfast", "ctkernels.gpu"},
    "kernels/ctkernels/gpu": (HEAVY - {"cupy"}) | FORMATS | {"ctfast", "ctkernels.cpu"},
    # _core is what kernels stand on: no operation and no family of kernels below it
    "kernels/ctkernels/cpu/_core": {f"ctkernels.cpu.{name}" for name in (*OPERATIONS, "chain", "conv_relu_pool")}
    | {f"ctkernels.cpu._{family}" for family in ("adapthist", "clahe", "conv", "gaussian", "histogram", "median")},
    "kernels/ctkernels/gpu/_core": {
        f"ctkernels.gpu.{name}" for name in (*OPERATIONS, "chain", "chain_volume", "graph")
    },
    "ctfast/errors.py": HEAVY | {"numpy", "ctkernels", "ctfast"},
    "ctfast/results.py": HEAVY | KERNELS | {"ctfast"},
    "ctfast/backend.py": HEAVY | ROOMS | KERNELS | {"ctfast.ops", "ctfast.pipeline", "ctfast.dispatch"},
    "ctfast/dispatch": HEAVY | FORMATS | ROOMS | KERNELS | {"ctfast.ops", "ctfast.pipeline", "ctfast.presets"},
    "ctfast/reference_histogram.py": HEAVY | FORMATS | COMPUTING | KERNELS | (ROOMS - {"ctfast.batch"}),
    "ctfast/ops.py": HEAVY | FORMATS | ROOMS | KERNELS | {"ctfast.pipeline", "ctfast.presets"},
    "ctfast/pipeline.py": HEAVY | FORMATS | ROOMS | KERNELS,
    "ctfast/presets.py": HEAVY | FORMATS | ROOMS | KERNELS,
    # what files hold, compiled: bytes in, numbers out, no operation on images
    "kernels/ctkernels/stored": (HEAVY - {"numba"}) | FORMATS | {"ctfast", "ctkernels.gpu", "ctkernels.reference"},
    "ctfast/files": HEAVY
    | COMPUTING
    | KERNELS
    | {"ctkernels.contract", "ctkernels.shared"}
    | (ROOMS - {"ctfast.files", "ctfast.batch"}),
    "ctfast/batch": HEAVY | FORMATS | COMPUTING | {"numpy", "ctkernels"} | (ROOMS - {"ctfast.batch"}),
    "ctfast/runner": HEAVY | FORMATS | {"ctkernels"},
    "ctfast/analysis": (HEAVY - {"scipy", "matplotlib"}) | FORMATS | KERNELS | {"ctfast.cli", "ctfast.runner"},
    "ctfast/model": (HEAVY - {"jax", "flax", "optax", "matplotlib", "scipy"})
    | FORMATS
    | {"ctkernels.gpu", "ctfast.cli", "ctfast.runner"},
    "ctfast/compat": (HEAVY - {"scipy", "cv2", "skimage"}) | ROOMS | {"ctkernels.reference"},
    "ctfast/embed": ROOMS | {"cupy", "matplotlib"},
    "ctfast/tools": (HEAVY - {"matplotlib"}) | {"ctfast.cli", "ctfast.model", "ctfast.analysis"},
    "ctfast/cli": HEAVY | FORMATS | {"numpy", "ctkernels"},
    # the machine that runs CUDA on the CPU: what it runs is up to its user
    "tests/cuda_on_host": (HEAVY - {"cupy"}) | {"ctfast", "ctkernels", "tests.gpu"},
}


def files_of(place: str) -> list[Path]:
    path = ROOT / place
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def imported_modules(path: Path) -> set[str]:
    """Every module a file imports, anywhere in it, ``from a import b`` as both ``a`` and ``a.b``."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def offences(path: Path, forbidden: set[str]) -> set[str]:
    return {m for m in imported_modules(path) for f in forbidden if m == f or m.startswith(f + ".")}


@pytest.mark.parametrize("place", FORBIDDEN)
def test_a_layer_imports_only_what_it_may_know(place: str) -> None:
    files = files_of(place)
    assert files
    for path in files:
        assert not offences(path, FORBIDDEN[place]), path


def test_the_check_itself_can_fail(tmp_path: Path) -> None:
    path = tmp_path / "offender.py"
    path.write_text("def f():\n    from ctkernels.cpu import window\n    import numba.core\n")
    assert offences(path, {"ctkernels.cpu", "numba"}) == {"ctkernels.cpu", "ctkernels.cpu.window", "numba.core"}


def test_a_partner_library_stands_in_one_module_of_embed() -> None:
    partners = {"torch", "jax", "dask", "xarray", "zarr", "SimpleITK", "nibabel", "monai", "numba"}
    for path in files_of("ctfast/embed"):
        named = {module.partition(".")[0] for module in imported_modules(path)} & partners
        assert len(named - {"torch"} if "monai" in named else named) <= 1, path


def our_modules() -> dict[str, Path]:
    """All modules of the two packages by name; a package is its ``__init__``."""
    found = {}
    for root in (ROOT, ROOT / "kernels"):
        for path in sorted(root.glob("ct*/**/*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_at(tree: ast.AST, *, in_functions: bool) -> set[str]:
    """Modules that are imported when a file runs, or also when its functions do; not what type checkers alone read."""
    if isinstance(tree, ast.If) and "TYPE_CHECKING" in ast.dump(tree.test):
        return set()
    if isinstance(tree, ast.FunctionDef) and not in_functions:
        return set()
    if isinstance(tree, ast.Import):
        return {alias.name for alias in tree.names}
    if isinstance(tree, ast.ImportFrom):
        return {f"{tree.module}.{alias.name}" for alias in tree.names} | {tree.module or ""}
    return set().union(*(imports_at(node, in_functions=in_functions) for node in ast.iter_child_nodes(tree)))


def in_cycles(graph: dict[str, set[str]]) -> set[str]:
    """Modules that reach themselves: what is left when modules that import nothing more are taken away, either way."""
    for _ in range(2):
        while loose := {name for name, targets in graph.items() if not targets & graph.keys()}:
            graph = {name: targets for name, targets in graph.items() if name not in loose}
        graph = {name: {source for source, targets in graph.items() if name in targets} for name in graph}
    return set(graph)


def import_graph(*, in_functions: bool) -> dict[str, set[str]]:
    modules = our_modules()
    trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in modules.items()}
    graph = {name: imports_at(tree, in_functions=in_functions) & modules.keys() for name, tree in trees.items()}
    # "from package import module" needs the module, not what the package itself defines
    return {name: {t for t in ts if not any(o.startswith(t + ".") for o in ts)} for name, ts in graph.items()}


def test_no_module_imports_itself_over_others() -> None:
    assert not in_cycles(import_graph(in_functions=False))


def test_no_module_imports_itself_through_functions_either() -> None:
    assert not in_cycles(import_graph(in_functions=True))


def test_a_cycle_would_be_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"a"}}
    assert in_cycles(graph) == {"b", "c"}


def hidden_modules(package: str) -> list[str]:
    """Modules that are something else as an attribute of their package, such as a function of the same name."""
    root = importlib.import_module(package)
    found = [m.name for m in pkgutil.walk_packages(root.__path__, f"{package}.") if not m.name.endswith("__main__")]
    names = []
    for name in found:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] in ("ctfast", "ctkernels", package):
                raise
            continue  # a partner library that is not installed
        names.append(name)
    return [n for n in names if getattr(sys.modules[n.rpartition(".")[0]], n.rpartition(".")[2]) is not sys.modules[n]]


def test_no_module_is_hidden_by_a_function_of_its_name() -> None:
    assert not hidden_modules("ctfast")


def test_a_hidden_module_would_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hiding").mkdir()
    (tmp_path / "hiding" / "__init__.py").write_text("from hiding.plan import plan")
    (tmp_path / "hiding" / "plan.py").write_text("def plan(): pass")
    (tmp_path / "hiding" / "open.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert hidden_modules("hiding") == ["hiding.plan"]


def test_no_public_name_that_is_found_later_is_that_of_a_module() -> None:
    """Importing the module would put it in the place of the function."""
    for stub in (ROOT / "ctfast").rglob("__init__.pyi"):
        modules = {path.stem for path in stub.parent.iterdir()}
        for node in ast.walk(ast.parse(stub.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                assert not modules & {alias.name for alias in node.names}, stub


def test_no_package_takes_the_name_of_another() -> None:
    assert not (ROOT / "kernels" / "__init__.py").exists(), "it would shadow the PyPI package 'kernels'"
    taken = {"numba", "cupy", "cuda"}
    assert not [p for p in ROOT.rglob("*") if p.is_dir() and p.name in taken and ".venv" not in str(p)]


def loaded_by(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(*sys.modules)"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "kernels"), str(ROOT)])}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env)
    return {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}


def test_import_ctfast_is_light() -> None:
    assert not loaded_by("import ctfast") & (HEAVY | {"numpy", "tifffile", "pydicom", "rich", "typer"})


def test_the_public_functions_are_found_without_compiled_code() -> None:
    loaded = loaded_by("import ctfast; ctfast.median_filter; ctfast.preset('lung'); ctfast.backends()")
    assert not loaded & (HEAVY - {"cupy"})  # CuPy alone knows whether the GPU backend can be used


def test_the_analysis_is_found_without_its_optional_packages() -> None:
    assert not loaded_by("import ctfast; ctfast.analysis.analyze; ctfast.analysis.report") & (HEAVY | {"jinja2", "PIL"})


@pytest.mark.parametrize("words", ["--help", "presets", "presets lung", "run --help"])
def test_short_commands_are_light(words: str) -> None:
    heavy = HEAVY | {"numpy", "tifffile", "pydantic", "rich"}
    if words != "presets lung":
        assert not loaded_by(_run_by(words)) & heavy
    else:  # whose steps are checked as arrays' are
        assert not loaded_by(_run_by(words)) & (heavy - {"numpy"})


@pytest.mark.parametrize("words", ["--workers 3", "--workers=1", "--offset 12"])
def test_numbers_are_read_without_pydantic(words: str) -> None:
    ends_in_asking_for_a_pipeline = f"""
from ctfast.cli import app
from ctfast.errors import UsageError
try:
    app({["run", "nowhere", "--out", "nothing", *words.split()]!r})
except UsageError as error:
    assert "--preset" in str(error)
"""
    assert "pydantic" not in loaded_by(ends_in_asking_for_a_pipeline)


def test_the_list_of_commands_is_shown_without_their_modules() -> None:
    assert loaded_by(f"{_run_by('--help')}\nassert not {{'ctfast.cli.run', 'ctfast.cli.model'}} & set(sys.modules)")


def _run_by(words: str) -> str:
    return f"""
import sys
from ctfast.cli import app
try:
    app({words.split()!r})
except SystemExit as end:
    assert not end.code
"""
