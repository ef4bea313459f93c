"""Packed lists are lists, and small."""

from __future__ import annotations

import sys

import pytest

from ctfast.batch.packed import Packed


@pytest.mark.parametrize("number", [0, 1, 511, 512, 513, 1500])
def test_it_is_a_sequence(number: int) -> None:
    items = [(f"/scans/{k // 9}/slice_{k}\udce9.dcm", k) for k in range(number)]
    packed = Packed(items)
    assert (len(packed), [*packed], bool(packed)) == (number, items, bool(items))
    assert packed == items == Packed(items)
    assert packed not in ([*items, ("", 0)], "text")
    for part in (slice(3), slice(1, None, 7), slice(-5, None), slice(500, 530), slice(9, 2), slice(None)):
        assert packed[part] == items[part]
    for index in {0, -1, number // 2} if number else ():
        assert packed[index] == items[index]
    with pytest.raises(IndexError):
        packed[number]
    with pytest.raises(ValueError, match="from their beginning"):
        packed[::-1]
    packed.append(("last", -1))
    assert [*packed] == [*items, ("last", -1)]


def test_names_of_files_take_some_bytes_each() -> None:
    names = [f"/data/hospital/scans/patient{k // 500:05d}/slice_{k % 500:04d}.dcm" for k in range(20_000)]
    packed = Packed(names)
    assert sum(map(sys.getsizeof, packed._blocks)) < 12 * len(names)
