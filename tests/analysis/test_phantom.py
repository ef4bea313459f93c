"""The phantom set shows what its description says, and the analysis points to nothing else in its lungs."""

from ctfast.analysis.scan.regions import find_regions
from ctfast.tools.synth import SPACING, phantom


def test_only_the_nodule_is_a_cluster() -> None:
    found = {n: find_regions(phantom(n).hu, SPACING).clusters_mm for n in range(20)}
    assert {n for n, clusters in found.items() if clusters} == {6, 7}, found
    assert all(len(found[n]) == 1 and 13 < found[n][0] < 16 for n in (6, 7))
