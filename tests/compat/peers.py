"""The peers' own tests, run against ``ctfast.compat``: ``make compat``, or ``python tests/compat/peers.py``.

Nothing of them is kept here: SciPy's come with its wheel, scikit-image's with the source distribution of the installed
version, fetched by pip into a temporary folder. Each suite runs twice, as it is and with the drop-ins in place, so that
what fails by itself here (warnings of other versions) is not held against them. Counted are the tests that call a
drop-in; for each drop-in, how many of its calls our kernels served.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PLUGIN = """
import importlib, json, os, pytest
import ctfast.compat
from ctfast.compat import _calls

class Plugin:
    def __init__(self): self.rows = {}
    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item):
        before = sum(map(sum, ctfast.compat.calls().values()))
        try:
            return (yield)
        finally:
            self.rows.setdefault(item.nodeid, {})["calls"] = sum(map(sum, ctfast.compat.calls().values())) - before
    def pytest_runtest_logreport(self, report):
        if report.when == "call":
            self.rows.setdefault(report.nodeid, {})["outcome"] = report.outcome
    def pytest_sessionfinish(self, session):
        with open(os.environ["COMPAT_RESULT"], "w") as file:
            json.dump({"tests": self.rows, "calls": ctfast.compat.calls()}, file)

def main(library, paths):
    arguments = ["-q", "-p", "no:cacheprovider", "--tb=no", "-c", "pytest.ini", *paths]
    if not library:
        return pytest.main(arguments, plugins=[Plugin()])
    known = importlib.import_module("scipy._lib._array_api").xp_capabilities_table
    drop_ins = importlib.import_module("ctfast.compat." + library.replace(".", "_"))
    for name, original in drop_ins._ORIGINALS.items():
        if original in known:  # SciPy's tests look their functions up in it
            known[getattr(drop_ins, name)] = known[original]
    with ctfast.compat.patched(library):
        return pytest.main(arguments, plugins=[Plugin()])
"""


def scipy_tests(_: Path) -> list[str]:
    """Test files in SciPy's own wheel."""
    root = Path(importlib.import_module("scipy.ndimage").__file__ or "").parent
    return [str(root / "tests" / "test_filters.py")]


def skimage_tests(folder: Path) -> list[str]:
    """Test files of scikit-image's source distribution."""
    version = importlib.metadata.version("scikit-image")
    fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "scikit-image"]
    subprocess.run([*fetch, "-d", str(folder), f"scikit-image=={version}"], check=True)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    root = next(folder.glob("scikit_image-*"))
    names = ("test_exposure.py", "test_histogram_matching.py", "test_gaussian.py", "test_median.py")
    return [str(path) for name in names for path in root.rglob(name)]


SUITES = {"scipy.ndimage": scipy_tests, "skimage": skimage_tests}


def run(library: str, paths: list[str], folder: Path) -> dict[str, dict]:
    """Outcomes and calls of one run, with the drop-ins of ``library``, or without any for an empty name."""
    result = folder / f"{library or 'plain'}.json"
    (folder / "pytest.ini").write_text("[pytest]\n")
    code = f"import os, sys\nos.environ['COMPAT_RESULT'] = {str(result)!r}\n{PLUGIN}\nmain({library!r}, {paths!r})"
    subprocess.run([sys.executable, "-c", code], check=False, cwd=folder, stdout=subprocess.DEVNULL)
    return json.loads(result.read_text())


def main() -> int:
    """Run the suites that are asked for; 1 where a test fails with the drop-ins alone."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("suites", nargs="*", default=list(SUITES), help=f"any of {', '.join(SUITES)}")
    failed = 0
    for library in parser.parse_args().suites:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            paths = SUITES[library](folder)
            plain, ours = run("", paths, folder), run(library, paths, folder)
        called = {n: t for n, t in ours["tests"].items() if t.get("calls") and "outcome" in t}
        passed = sum(t["outcome"] == "passed" for t in called.values())
        plainly = {n for n, t in plain["tests"].items() if t.get("outcome") == "passed"}
        worse = [n for n, t in ours["tests"].items() if n in plainly and t.get("outcome") != "passed"]
        print(
            f"{library}: {passed} of {len(called)} tests that call a drop-in pass, {len(worse)} of them fail here alone"
        )
        for name, (by_us, by_them) in ours["calls"].items():
            print(f"    {name}: ctfast {by_us}, original {by_them}")
        for test in worse:
            print(f"    FAILED {test}")
        failed += len(worse)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
