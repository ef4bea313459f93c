"""Images of files are as wide as their file says, also where an array of that shape would be colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ctfast import Pipeline, Step, runner
from ctfast.files import read_image, write_image
from ctfast.model.data.decoding import hu_shares
from ctfast.model.data.preprocessing import Preprocessing

PIPELINE = Pipeline([Step("median_filter", size=3), Step("window", center=40, width=400), Step("summary")])
STACK = np.random.default_rng(3).integers(-1000, 400, (5, 30, 4)).astype(np.int16)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_a_run_takes_narrow_stacks(tmp_path: Path, width: int, backend: str) -> None:
    pixels = np.ascontiguousarray(STACK[..., :width])
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in" / "a.mha", pixels, units="hu", spacing=(1, 1))
    report = runner.run([tmp_path / "in"], tmp_path / "out", PIPELINE, format="npy", backend=backend)
    assert (report.ok, report.failed) == (1, 0)
    one_by_one = [PIPELINE(frame, backend=backend) for frame in pixels]
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "a.npy"), one_by_one)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_network_takes_narrow_stacks(tmp_path: Path, channels: int) -> None:
    pixels = np.ascontiguousarray(STACK[..., :3])
    write_image(tmp_path / "a.mha", pixels, units="hu", spacing=(1, 1))
    preprocessing = Preprocessing(image_size=(16, 16), channels=channels)
    made, image = preprocessing.read(tmp_path / "a.mha")
    np.testing.assert_array_equal(made, [preprocessing(frame) for frame in pixels])
    np.testing.assert_array_equal(hu_shares(image.pixels), np.concatenate([hu_shares(frame) for frame in pixels]))


def test_an_array_of_that_shape_is_still_ambiguous(tmp_path: Path) -> None:
    write_image(tmp_path / "a.mha", STACK, units="hu", spacing=(1, 1))
    PIPELINE(np.zeros((2, 30, 24), np.int16))
    with pytest.raises(ValueError, match="ambiguous"):
        PIPELINE(read_image(tmp_path / "a.mha").pixels)
