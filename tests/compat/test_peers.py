"""A sample of SciPy's own tests against our drop-ins; ``make compat`` runs them all, and scikit-image's."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("scipy.ndimage", reason="SciPy is not installed")

from tests.compat import peers

SAMPLE = "test_gauss or test_median or test_valid_origins or test_multiple_modes or test_gaussian"


def test_scipy_s_own_tests_pass_with_drop_ins_in_place(tmp_path: Path) -> None:
    paths = peers.scipy_tests(tmp_path)
    if not Path(paths[0]).exists():
        pytest.skip("SciPy's tests are not installed with it")
    result = peers.run("scipy.ndimage", [*paths, "-k", SAMPLE], tmp_path)
    called = {
        name: test["outcome"] for name, test in result["tests"].items() if test.get("calls") and "outcome" in test
    }
    assert len(called) >= 30
    assert not [name for name, outcome in called.items() if outcome == "failed"]
    assert sum(by_us for by_us, _ in result["calls"].values()) >= 20
