"""The peers' own tests, run against ``ctfast.compat``: ``make compat``, or ``python tests/compat/peers.py``.

Nothing of them is kept here: SciPy's come with its wheel, scikit-image's with the source distribution of the installed
version, fetched by pip into a temporary folder. MONAI publishes none but in its repository: ``peers.py monai --checkout
FOLDER`` takes them from a checkout. Each suite runs twice, as it is and with the drop-ins in place, so that
what fails by itself here (warnings of other versions) is not held against them. Counted are the tests that call a
drop-in; for each drop-in, how many of its calls our kernels served.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
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
    if library == "monai":
        # Their tests import the names from here.
        ours, theirs = (importlib.import_module(n) for n in ("ctfast.embed.monai", "monai.transforms"))
        for name, made in vars(ours).items():
            if getattr(made, "__module__", "") == ours.__name__ and hasattr(theirs, name):
                setattr(theirs, name, made)
        return pytest.main(arguments, plugins=[Plugin()])
    known = importlib.import_module("scipy._lib._array_api").xp_capabilities_table
    drop_ins = importlib.import_module("ctfast.compat." + library.replace(".", "_"))
    for name, original in drop_ins._ORIGINALS.items():
        if original in known:  # SciPy's tests look their functions up in it
            known[getattr(drop_ins, name)] = known[original]
    with ctfast.compat.patched(library):
        return pytest.main(arguments, plugins=[Plugin()])
"""


def scipy_tests(folder: Path, _: Path | None) -> list[str]:
    """Test files in SciPy's own wheel."""
    root = Path(importlib.import_module("scipy.ndimage").__file__ or "").parent
    return [str(root / "tests" / "test_filters.py")]


def skimage_tests(folder: Path, _: Path | None) -> list[str]:
    """Test files of scikit-image's source distribution; none where pip can't reach a registry."""
    version = importlib.metadata.version("scikit-image")
    fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "scikit-image"]
    # Only its files are wanted: pip unpacks them first, and leaves them there when it can't prepare a build.
    fetch += ["--no-clean", "--no-build-isolation", "--retries", "1", "--timeout", "10"]
    place = folder / "unpacked"
    place.mkdir()
    environment = {**os.environ, "TMPDIR": str(place)}
    subprocess.run(
        [*fetch, "-d", str(folder), f"scikit-image=={version}"], check=False, env=environment, capture_output=True
    )
    names = ("test_exposure.py", "test_histogram_matching.py", "test_gaussian.py", "test_median.py")
    found = [path for name in names for path in sorted(place.rglob(name))]
    # The fixtures of its package's tests, not the plugins of its own runs.
    return [f"--confcutdir={found[0].parents[1]}", *map(str, found)] if found else []


def monai_tests(_: Path, checkout: Path | None) -> list[str]:
    """Test files of a checkout of MONAI."""
    if checkout is None:
        return []
    from ctfast.embed import monai

    names = {f"test_{_snake(name)}.py" for name in vars(monai) if name[0].isupper()}
    return sorted(str(path) for path in (checkout / "tests").rglob("test_*.py") if path.name in names)


def _snake(name: str) -> str:
    """``scale_intensity_ranged`` of ``ScaleIntensityRanged``."""
    return re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower()


DESELECTED = {
    "test_rescale_out_range[float32]": "six decimals of a float32 result up to 255: float32 has five there, and ours "
    "is rounded otherwise than theirs",
    "test_median_warning[constant-0.0-rank-UserWarning]": "a warning of the original's names the line in our drop-in "
    "that called it, not the user's",
}
"""Tests that the drop-ins do not pass, with the reason; every other one has to."""

SUITES = {"scipy.ndimage": scipy_tests, "skimage": skimage_tests, "monai": monai_tests}


def run(library: str, paths: list[str], folder: Path, checkout: Path | None = None) -> dict[str, dict]:
    """Outcomes and calls of one run, with the drop-ins of ``library``, or without any for an empty name."""
    result = folder / f"{library or 'plain'}.json"
    (folder / "pytest.ini").write_text("[pytest]\n")
    lines = [
        "import os, sys",
        f"os.environ['COMPAT_RESULT'] = {str(result)!r}",
        f"sys.path[:0] = {[str(checkout)] if checkout else []!r}",
        PLUGIN,
        f"main({library!r}, {paths!r})",
    ]
    code = "\n".join(lines)
    subprocess.run([sys.executable, "-c", code], check=False, cwd=folder, stdout=subprocess.DEVNULL)
    return json.loads(result.read_text())


def failing(result: dict[str, dict], plainly: set[str] | None = None) -> list[str]:
    """Tests that do not pass and are not named above; ``plainly``: those that pass without drop-ins, where known."""
    return [
        name
        for name, test in result["tests"].items()
        if (name in plainly if plainly is not None else test.get("calls"))
        and test.get("outcome") != "passed"
        and name.rpartition("::")[2] not in DESELECTED
    ]


def main() -> int:
    """Run the suites that are asked for; 1 where a test fails with the drop-ins alone."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("suites", nargs="*", default=["scipy.ndimage", "skimage"], help=f"any of {', '.join(SUITES)}")
    parser.add_argument("--checkout", type=Path, help="of MONAI's repository, for its tests")
    failed = 0
    options = parser.parse_args()
    for library in options.suites:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            paths = SUITES[library](folder, options.checkout)
            if not paths:
                print(f"{library}: its tests are not to be had here")
                failed += 1
                continue
            plain, ours = (run(name, paths, folder, options.checkout) for name in ("", library))
        called = {n: t for n, t in ours["tests"].items() if t.get("calls") and "outcome" in t}
        passed = sum(t["outcome"] == "passed" for t in called.values())
        plainly = {n for n, t in plain["tests"].items() if t.get("outcome") == "passed"}
        worse = failing(ours, plainly)
        print(
            f"{library}: {passed} of {len(called)} tests that call a drop-in pass, {len(worse)} of them fail here alone"
        )
        for name, (by_us, by_them) in ours["calls"].items():
            print(f"    {name}: ctfast {by_us}, original {by_them}")
        for test in worse:
            print(f"    FAILED {test}")
        for test, reason in DESELECTED.items():
            if any(n.endswith(f"::{test}") for n in called):
                print(f"    not held against us: {test}: {reason}")
        failed += len(worse)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
