"""Rules that every public operation keeps: signatures, types, documents, one list of operations."""

from __future__ import annotations

import inspect
import typing

import numpy as np
import pytest

import ctfast
from ctfast import ops
from ctfast.dispatch.kinds import CHECKS
from ctkernels import reference
from ctkernels.contract import IMAGE_DTYPES, OPERATIONS, SAME


@pytest.mark.parametrize("name", OPERATIONS)
def test_signature_follows_the_contract(name: str) -> None:
    operation = OPERATIONS[name]
    signature = inspect.signature(getattr(ctfast, name))
    parameters = signature.parameters
    expected = ["image", *(p.name for p in operation.params)]
    if operation.kind != "statistic":
        expected += [*(["dtype"] if operation.chooses_dtype else []), "out"]
    if operation.masks:
        expected.append("where")  # an array, which pipelines can't hold
    if name == "gaussian_filter":
        expected.append("spacing")  # which makes pixels of mm
    assert sorted(parameters) == sorted({*expected, "axes", "backend"})
    by_position = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    # besides the image, the one obvious argument
    assert by_position in (["image"], ["image", operation.params[0].name])
    for param in operation.params:
        default = parameters[param.name].default
        assert default is inspect.Parameter.empty if param.required else default == param.default


@pytest.mark.parametrize("name", OPERATIONS)
def test_types_and_documents_are_complete(name: str) -> None:
    function = getattr(ops, name)
    hints = typing.get_type_hints(function)
    assert set(hints) == {*inspect.signature(function).parameters, "return"}
    for parameter in inspect.signature(function).parameters:
        assert f"{parameter}:" in function.__doc__, f"{name} does not document {parameter}"
    assert "NaN" in function.__doc__, f"{name} does not state its NaN policy"


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_reference_has_the_backend_signature(name: str) -> None:
    parameters = list(inspect.signature(getattr(reference, name)).parameters.values())
    assert [p.name for p in parameters[:2]] == ["x", "out"]
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters[2:])
    # A radius is in ``truncate``, axes are in the shape.
    params = [p.name for p in OPERATIONS[name].params if p.name not in ("axes", "radius")]
    own = ["edges"] if name == "histogram" else params
    assert [p.name for p in parameters[2:]] == own + (["where"] if OPERATIONS[name].masks else [])


def test_every_parameter_kind_has_a_check() -> None:
    assert {p.kind for op in OPERATIONS.values() for p in op.params} == set(CHECKS)


def test_everything_in_all_exists_and_nothing_else_is_needed() -> None:
    for name in ctfast.__all__:
        assert getattr(ctfast, name) is not None
    assert set(OPERATIONS) <= set(ctfast.__all__)
    with pytest.raises(AttributeError, match="no attribute 'median'"):
        _ = ctfast.median


@pytest.mark.parametrize("name", [n for n, op in OPERATIONS.items() if op.kind != "statistic"])
def test_out_is_used_and_checked(name: str) -> None:
    image = np.arange(120, dtype=np.int16).reshape(10, 12)
    params = OPERATIONS[name].examples[0]
    function = getattr(ctfast, name)
    expected = function(image, **params)
    out = np.zeros_like(expected)
    assert function(image, **params, out=out) is out
    np.testing.assert_array_equal(out, expected)
    strided = np.zeros((10, 24), expected.dtype)[:, ::2]
    function(image, **params, out=strided)
    np.testing.assert_array_equal(strided, expected)
    swapped = np.zeros(expected.shape, expected.dtype.newbyteorder())
    for _ in range(2):  # the second call is remembered
        assert function(image, **params, out=swapped) is swapped
        np.testing.assert_array_equal(swapped, expected)
        swapped[...] = 0
    with pytest.raises(ctfast.errors.ShapeError, match=r"\(10, 12\) is needed"):
        function(image, **params, out=out[:5])
    with pytest.raises(ctfast.errors.DTypeError):
        function(image, **params, out=np.zeros((10, 12), np.complex64))
    out.flags.writeable = False
    with pytest.raises(ctfast.errors.ArgumentError, match="read-only"):
        function(image, **params, out=out)


def test_results_have_the_byte_order_of_the_machine() -> None:
    image = np.arange(120, dtype=np.int16).reshape(10, 12)
    other = np.dtype(np.float32).newbyteorder()
    ctfast.normalize(image)
    for _ in range(2):
        with pytest.raises(ctfast.errors.DTypeError, match=f"normalize to {other}: float32"):
            ctfast.normalize(image, dtype=other)
    with pytest.raises(ctfast.errors.ArgumentError, match="are allowed"):
        ctfast.Step("normalize", dtype=other)


@pytest.mark.parametrize("name", OPERATIONS)
def test_dtypes_that_are_no_numbers_are_refused(name: str) -> None:
    strange = [np.zeros((10, 12), [("a", "i2"), ("b", "f4")]).view(np.recarray), np.full((10, 12), "a")]
    if hasattr(np.dtypes, "StringDType"):  # NumPy 2
        strange.append(strange[1].astype(np.dtypes.StringDType()))
    for image in strange:
        with pytest.raises(ctfast.errors.DTypeError, match="image of dtype"):
            getattr(ctfast, name)(image, **OPERATIONS[name].examples[0])


@pytest.mark.parametrize("name", [n for n, op in OPERATIONS.items() if op.out_dtypes == SAME])
def test_in_place(name: str) -> None:
    image = np.arange(120, dtype=np.uint16).reshape(10, 12) * 500
    params = OPERATIONS[name].examples[0]
    expected = getattr(ctfast, name)(image, **params)
    getattr(ctfast, name)(image, **params, out=image)
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_layout_gives_the_same(name: str, dtype: str, rng: np.random.Generator) -> None:
    base = rng.integers(0, 200, (3, 14, 18)).astype(dtype)
    params = OPERATIONS[name].examples[0]
    function = getattr(ctfast, name)

    def numbers(image: np.ndarray) -> list[np.ndarray]:
        result = function(image, **params)
        if name == "histogram":
            return [result.counts, result.edges]
        return [result.mean, result.percentiles] if name == "summary" else [result]

    expected = numbers(base)
    read_only = base.copy()
    read_only.flags.writeable = False
    wide = np.zeros((3, 28, 36), dtype)
    wide[:, ::2, ::2] = base
    before = base.copy()
    for image in (
        read_only,
        np.asfortranarray(base),
        base.astype(base.dtype.newbyteorder(">")),
        wide[:, ::2, ::2],
        base[:, ::-1][:, ::-1],
        base.reshape(3, 1, 14, 18),
    ):
        for got, want in zip(numbers(image), expected, strict=True):
            np.testing.assert_array_equal(got.reshape(want.shape), want)
    np.testing.assert_array_equal(base, before)
