"""A sample of SciPy's and scikit-image's own tests against our drop-ins; ``make compat`` runs them all."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("scipy.ndimage", reason="SciPy is not installed")

from tests.compat import peers

SAMPLE = "test_gauss or test_median or test_valid_origins or test_multiple_modes or test_gaussian"


def test_scipy_s_own_tests_pass_with_drop_ins_in_place(tmp_path: Path) -> None:
    paths = peers.scipy_tests(tmp_path, None)
    if not Path(paths[0]).exists():
        pytest.skip("SciPy's tests are not installed with it")
    result = peers.run("scipy.ndimage", [*paths, "-k", SAMPLE], tmp_path)
    called = {
        name: test["outcome"] for name, test in result["tests"].items() if test.get("calls") and "outcome" in test
    }
    assert len(called) >= 30
    assert not [name for name, outcome in called.items() if outcome == "failed"]
    assert sum(by_us for by_us, _ in result["calls"].values()) >= 20


def test_scikit_image_s_own_tests_pass_with_drop_ins_in_place(tmp_path: Path) -> None:
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    paths = peers.skimage_tests(tmp_path, None)
    if not paths:
        pytest.skip("scikit-image's tests come from its source distribution, which pip could not fetch here")
    result = peers.run("skimage", [*paths, "-k", "adapthist or test_median or TestMedian or gaussian"], tmp_path)
    called = [name for name, test in result["tests"].items() if test.get("calls")]
    assert len(called) >= 60
    assert not peers.failing(result)
    assert sum(by_us for by_us, _ in result["calls"].values()) >= 40
