"""Our transforms against MONAI's: values, types, bookkeeping, and real loaders with workers and caches."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("monai", reason="MONAI is not installed")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MONAI's import warns of its own partners
    from monai import transforms as theirs
    from monai.data import CacheDataset, DataLoader, MetaTensor

    from ctfast.embed import monai as ours

from ctfast import compat  # noqa: E402

HU = np.random.default_rng(4).normal(40, 300, (2, 17, 12, 6)).clip(-1024, 3000).astype(np.float32)
BOTH = [
    ("ScaleIntensityRange", {"a_min": -160, "a_max": 240, "b_min": 0.0, "b_max": 1.0, "clip": True}, 2e-6),
    ("ScaleIntensityRange", {"a_min": -160, "a_max": 240, "b_min": -1.0, "b_max": 3.0}, 2e-6),
    ("ScaleIntensityRange", {"a_min": 240, "a_max": -160}, 2e-6),
    ("ScaleIntensity", {}, 2e-6),
    ("ScaleIntensity", {"minv": 2.0, "maxv": 5.0, "channel_wise": True}, 2e-6),
    ("ScaleIntensityRangePercentiles", {"lower": 1, "upper": 99, "b_min": 0, "b_max": 255, "clip": True}, 1e-5),
    ("ScaleIntensityRangePercentiles",
     {"lower": 5, "upper": 90, "b_min": 0, "b_max": 2, "relative": True, "channel_wise": True}, 1e-5),
    ("NormalizeIntensity", {}, 1e-5),
    ("NormalizeIntensity", {"channel_wise": True}, 1e-5),
    ("NormalizeIntensity", {"nonzero": True, "channel_wise": True}, 1e-5),
    ("NormalizeIntensity", {"subtrahend": 40.0, "divisor": 300.0}, 2e-6),
    ("NormalizeIntensity", {"subtrahend": [40.0, 1.0], "divisor": [300.0, 0.0], "channel_wise": True}, 2e-6),
    ("NormalizeIntensity", {"subtrahend": 3.0}, 1e-5),
    ("NormalizeIntensity", {"divisor": [3.0, 0.0], "channel_wise": True, "nonzero": True}, 1e-5),
    ("NormalizeIntensity", {"subtrahend": 40.0, "divisor": 300.0, "nonzero": True}, 2e-6),
    ("MedianSmooth", {"radius": 1}, 0.0),
    ("MedianSmooth", {"radius": [1, 1, 0]}, 0.0),
    ("GaussianSmooth", {"sigma": 1.0}, 2e-6),
    ("GaussianSmooth", {"sigma": [0.7, 1.0, 3.0], "approx": "sampled"}, 2e-6),
    ("GaussianSmooth", {"sigma": 0.6, "approx": "scalespace"}, 2e-6),
]  # fmt: skip
every_transform = pytest.mark.parametrize(("name", "options", "close"), BOTH, ids=[f"{n}-{o}" for n, o, _ in BOTH])


@pytest.fixture(autouse=True)
def fresh_counts() -> None:
    from ctfast.compat import _calls

    _calls._OURS.clear()
    _calls._THEIRS.clear()


def served() -> list[tuple[int, int]]:
    return [tuple(count) for count in compat.calls().values()]


def same(found: Any, expected: Any, close: float) -> None:
    assert type(found) is type(expected)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    largest = max(float(np.abs(np.asarray(expected)).max()), 1e-30)
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=0, atol=close * largest)


@every_transform
def test_values_and_what_the_image_carries(name: str, options: dict[str, Any], close: float) -> None:
    zeros = HU.copy()
    zeros[:, 3:9] = 0
    image = MetaTensor(torch.from_numpy(zeros), affine=torch.diag(torch.tensor([0.7, 0.7, 2.5, 1.0])))
    image.applied_operations.append({"class": "Orientation"})
    before = image.clone()
    found = getattr(ours, name)(**options)(image)
    assert served() == [(1, 0)]
    same(found, getattr(theirs, name)(**options)(before.clone()), close)
    assert torch.equal(found.affine, image.affine)
    assert found.applied_operations == [{"class": "Orientation"}]
    assert torch.equal(image, before)  # MONAI's channel-wise normalisation changes its input
    again = getattr(ours, name + "d")(keys=["image", "other"], allow_missing_keys=True, **options)
    assert isinstance(again, getattr(theirs, name + "d"))
    result = pickle.loads(pickle.dumps(again))({"image": image, "label": 7})
    assert result["label"] == 7
    assert torch.equal(result["image"], found)
    assert getattr(ours, name + "D") is getattr(ours, name + "Dict") is getattr(ours, name + "d")


@pytest.mark.parametrize("image", [HU[:, :, :, 0], HU.astype(np.int16), HU.astype(np.int64)], ids=["2-D", "i2", "i8"])
def test_arrays_of_other_types_and_two_axes(image: np.ndarray) -> None:
    for name, options, close in BOTH:
        if (name == "ScaleIntensityRangePercentiles" and image.dtype.kind == "i") or image.ndim + len(
            np.atleast_1d(options.get("radius", options.get("sigma", 0)))
        ) == 6:
            continue
        same(getattr(ours, name)(**options)(image), getattr(theirs, name)(**options)(image.copy()), close)
    assert all(count.original == 0 for count in compat.calls().values())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ScaleIntensityRange", {"a_min": 1, "a_max": 1}),
        ("ScaleIntensityRange", {"a_min": 0, "a_max": 1, "b_min": 0.0, "b_max": 1.0, "dtype": np.float64}),
        ("ScaleIntensity", {"minv": None, "maxv": None, "factor": 0.5}),
        ("NormalizeIntensity", {"subtrahend": HU, "divisor": np.abs(HU) + 1}),
        ("NormalizeIntensity", {"subtrahend": 3.0, "divisor": -2.0}),
        ("GaussianSmooth", {"sigma": [33.0, 0.5, 0.5]}),
    ],
)
def test_monai_serves_the_rest_and_it_is_counted(name: str, options: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # division by a range of 0
        found, expected = (getattr(module, name)(**options)(HU.copy()) for module in (ours, theirs))
    same(found, expected, 0.0)
    assert served() == [(0, 1)]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16])
def test_differences_of_whole_numbers_do_not_wrap_around(dtype: type) -> None:
    """As MONAI's of the same values as floats: of uint8 and a whole ``a_min`` it takes 0 - 50 for 206."""
    info = np.iinfo(dtype)
    image = np.linspace(info.min, info.max, 80).astype(dtype).reshape(1, 8, 10)
    for low, high, clip in ((50, 100, True), (50, 100, False), (-100, 30, False)):
        options = {"a_min": low, "a_max": high, "b_min": 0, "b_max": 1, "clip": clip}
        expected = theirs.ScaleIntensityRange(**options)(image.astype(np.float32))
        same(ours.ScaleIntensityRange(**options)(image), expected, 2e-6)


def test_errors_are_monai_s() -> None:
    for name, options, image in (
        ("GaussianSmooth", {"sigma": [1.0]}, HU),
        ("NormalizeIntensity", {"subtrahend": [1.0], "divisor": [1.0], "channel_wise": True}, HU),
        ("NormalizeIntensity", {"subtrahend": 1.0, "channel_wise": True}, HU),
        ("NormalizeIntensity", {"subtrahend": [1.0]}, HU),
        ("ScaleIntensityRange", {"a_min": 0, "a_max": 1}, HU > 0),
        ("ScaleIntensityRangePercentiles", {"lower": 1, "upper": 99, "b_min": 0, "b_max": 1}, HU.astype(np.int64)),
    ):
        with pytest.raises(Exception) as expected:
            getattr(theirs, name)(**options)(image)
        with pytest.raises(type(expected.value)):
            getattr(ours, name)(**options)(image)


def test_whole_numbers_beyond_float32_and_one_value_beside_zeros() -> None:
    large = (HU + 1e9).astype(np.int64)
    one = np.where(HU > 0, np.float32(37.5), np.float32(0))
    for options, image in (({"subtrahend": 1_000_000_000, "divisor": 1.0}, large),
                           ({"subtrahend": 5.0, "nonzero": True}, one)):  # fmt: skip
        found, expected = (module.NormalizeIntensity(**options)(image) for module in (ours, theirs))
        same(found, expected, 0.0)


def test_random_smoothing_draws_monai_s_numbers() -> None:
    for names in ("RandGaussianSmooth", "RandGaussianSmoothd"):
        keys = {"keys": "image"} if names.endswith("d") else {}
        made = [getattr(module, names)(prob=0.7, **keys).set_random_state(9) for module in (ours, theirs)]
        for _ in range(4):
            found, expected = (t({"image": HU} if keys else HU) for t in made)
            same(found["image"] if keys else found, expected["image"] if keys else expected, 2e-6)
    assert served()[0][0] > 0


def chain(module: Any) -> Any:
    return theirs.Compose(
        [
            theirs.EnsureChannelFirstd(keys="image", channel_dim=0),
            theirs.Flipd(keys="image", spatial_axis=0),
            module.ScaleIntensityRanged(keys="image", a_min=-160, a_max=240, b_min=0.0, b_max=1.0, clip=True),
            module.MedianSmoothd(keys="image", radius=1),
            module.NormalizeIntensityd(keys="image"),
        ]
    )


def test_a_chain_is_inverted_as_monai_s() -> None:
    mine, monai_s = chain(ours), chain(theirs)
    done, expected = mine({"image": HU}), monai_s({"image": HU})
    same(done["image"], expected["image"], 1e-5)
    names = [[step["class"] for step in d["image"].applied_operations] for d in (done, expected)]
    assert names[0] == names[1] == ["Flip"]
    same(mine.inverse(done)["image"], monai_s.inverse(expected)["image"], 1e-5)


def test_loader_with_workers_over_a_cache() -> None:
    data = [{"image": HU + k} for k in range(4)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch, of forking a process with threads
        cached = CacheDataset(data, chain(ours), cache_rate=1.0, num_workers=2, progress=False)
        loader = DataLoader(cached, batch_size=2, num_workers=2)
        batches = [batch["image"] for batch in loader]
    assert [tuple(batch.shape) for batch in batches] == [(2, *HU.shape)] * 2
    assert all(batch.is_batch for batch in batches)
    same(batches[1][1], chain(theirs)(data[3])["image"], 1e-5)
