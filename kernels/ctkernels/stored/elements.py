"""A walk over the elements of a little-endian DICOM data set, without the interpreter: 2 us instead of 200.

It gives up (``ODD``) on all that ``ctfast.files._dicom_scan`` gives up on, which is its plain version, and on nothing
else.

Source: DICOM PS3.5 7.1 (data elements), 7.5 (nested data sets), PS3.10 7.1 (file meta information).
"""

from __future__ import annotations

import numpy as np

from ctkernels.cpu._core.jit import jit, jit_inline

ODD = -1
"""Something that is better left to a reader of all that DICOM allows."""
_SYNTAX = 0x00020010
_ITEM = 0xFFFEE000
_SEQUENCE_END = 0xFFFEE0DD
_ITEM_END = 0xFFFEE00D
_UNDEFINED = 0xFFFFFFFF
_MAX_DEPTH = 16
_EXPLICIT = np.frombuffer(b"1.2.840.10008.1.2.1", np.uint8)
_IMPLICIT = np.frombuffer(b"1.2.840.10008.1.2", np.uint8)

TEXT, BINARY, REFUSED, PIXELS = 0, 1, 2, 3
"""Kinds of wanted elements: ASCII or odd; any bytes; odd wherever it occurs; the pixels, which end the walk."""


def _vr_table() -> np.ndarray:
    """Bytes from an element's begin to its value by the two letters of its value representation; 0 for no such."""
    table = np.zeros(65536, np.uint8)
    for names, size in (
        (b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US", 8),
        (b"OB OD OF OL OV OW SQ SV UC UN UR UT UV", 12),
    ):
        for name in names.split():
            table[name[0] | name[1] << 8] = size
    return table


VALUE_AT = _vr_table()


@jit_inline
def _word(data, at):
    return np.int64(data[at]) | np.int64(data[at + 1]) << 8


@jit_inline
def _long(data, at):
    return _word(data, at) | _word(data, at + 2) << 16


@jit
def _tag(data, at):
    return _word(data, at) << 16 | _word(data, at + 2)


@jit
def _value(data, size, at, implicit, value_at):
    """Where the value of the element at ``at`` begins and how long it is; begins at ``ODD`` where that is not clear."""
    if at + 8 > size:
        return np.int64(ODD), np.int64(0)
    if implicit:
        return at + 8, _long(data, at + 4)
    before = np.int64(value_at[_word(data, at + 4)])
    if before == 8:
        return at + 8, _word(data, at + 6)
    if before == 0 or at + 12 > size:
        return np.int64(ODD), np.int64(0)
    return at + 12, _long(data, at + 8)


@jit
def _same(data, start, stop, text):
    while stop > start and (data[stop - 1] == 0 or data[stop - 1] == 32):
        stop -= 1
    if stop - start != text.size:
        return False
    same = True
    for i in range(text.size):
        same &= data[start + i] == text[i]
    return same


@jit
def _after_sequence(data, size, at, implicit, value_at):
    """The end of a sequence of undefined length whose first item is at ``at``; ``ODD`` where it has none."""
    depth = 1
    in_item = False
    while True:
        # An item's end has no value representation, as an item has none.
        if in_item and at + 4 <= size and _tag(data, at) == _ITEM_END:
            at += 8
            in_item = False
            continue
        start, length = _value(data, size, at, implicit or not in_item, value_at)
        if start == ODD:
            return np.int64(ODD)
        if in_item:
            if length == _UNDEFINED:
                depth += 1
                if depth > _MAX_DEPTH + 1:
                    return np.int64(ODD)
                at, in_item = start, False
            else:
                at = start + length
            continue
        tag = _tag(data, at)
        if tag == _SEQUENCE_END:
            depth -= 1
            at = start
            if depth == 0:
                return at
            in_item = True
        elif tag != _ITEM:
            return np.int64(ODD)
        elif length == _UNDEFINED:
            at, in_item = start, True
        else:
            at = start + length


@jit
def _data_set(data, size, value_at, explicit_name, implicit_name):
    """Where the data set begins and whether its value representations are implicit; ``ODD`` for other syntaxes."""
    at = np.int64(132)
    known = 0
    while at + 2 <= size and data[at] == 2 and data[at + 1] == 0:
        start, length = _value(data, size, at, False, value_at)
        if start == ODD:
            return np.int64(ODD), False
        tag = _tag(data, at)
        at = start + length
        if length == _UNDEFINED or at > size:
            return np.int64(ODD), False
        if tag == _SYNTAX:
            known = 0
            if _same(data, start, at, explicit_name):
                known = 1
            elif _same(data, start, at, implicit_name):
                known = 2
    if known == 0:
        return np.int64(ODD), False
    return at, known == 2


@jit
def elements(data, size, wanted, kinds, in_key, found, key, value_at, explicit_name, implicit_name):
    """Find the wanted elements of a file up to its pixels.

    Args:
        data: its bytes.
        size: how many there are.
        wanted: tags in rising order, the pixels' last.
        kinds: of each.
        in_key: whether its bytes go into ``key``.
        found: gets where the value of each begins and how long it is, -1 where it is missing.
        key: gets the representation, and index, length and bytes of each element that goes into it.
        value_at, explicit_name, implicit_name: ``TABLES``.

    Returns:
        The length of the key; ``ODD`` where a reader of all that DICOM allows has to look.
    """
    found[:] = -1
    if size < 140 or not (data[128] == 68 and data[129] == 73 and data[130] == 67 and data[131] == 77):
        return np.int64(ODD)
    at, implicit = _data_set(data, size, value_at, explicit_name, implicit_name)
    if at == ODD:
        return np.int64(ODD)
    key[0] = implicit
    written = np.int64(1)
    last = np.int64(0)
    w = 0
    while at < size:
        start, length = _value(data, size, at, implicit, value_at)
        if start == ODD:
            return np.int64(ODD)
        tag = _tag(data, at)
        if tag <= last:  # elements ascend: anything else means that the walk has lost its way
            return np.int64(ODD)
        last = tag
        while w < wanted.size and wanted[w] < tag:
            w += 1
        is_wanted = w < wanted.size and wanted[w] == tag
        if length == _UNDEFINED:
            if is_wanted:
                return np.int64(ODD)
            at = _after_sequence(data, size, start, implicit, value_at)
            if at == ODD:
                return np.int64(ODD)
            continue
        at = start + length
        if is_wanted and kinds[w] == PIXELS:
            found[w, 0] = start
            found[w, 1] = length
            return written
        if at > size or (is_wanted and kinds[w] == REFUSED):
            return np.int64(ODD)
        if not is_wanted:
            continue
        if kinds[w] == TEXT:
            bits = np.uint8(0)
            for i in range(start, at):
                bits |= data[i]
            if bits > 127:
                return np.int64(ODD)
        found[w, 0] = start
        found[w, 1] = length
        if in_key[w]:
            if written + 5 + length > key.size:
                return np.int64(ODD)
            key[written] = w
            for i in range(4):
                key[written + 1 + i] = (length >> (8 * i)) & 255
            for i in range(length):  # a slice's assignment brings code for its error, seconds of compiling
                key[written + 5 + i] = data[start + i]
            written += 5 + length
    return np.int64(ODD)


TABLES = (VALUE_AT, np.array(_EXPLICIT), np.array(_IMPLICIT))
