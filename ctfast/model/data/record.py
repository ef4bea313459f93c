"""What a run keeps of its data: counts, warnings, and which slices it has seen."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ctfast.model.data.dataset import Dataset
from ctfast.model.data.decoding import hash_of


def describe(dataset: Dataset) -> dict[str, Any]:
    """Counts and warnings of the set, JSON-able, for the record of a run."""
    return {
        "slices": len(dataset),
        "labelled": len(dataset.labelled),
        "classes": dataset.class_counts(),
        "groups": len(np.unique(dataset.groups)),
        "unread": [{"file": u.name, "reason": u.reason} for u in dataset.unread],
        "left_out": [{"file": u.name, "reason": u.reason} for u in dataset.left_out],
        "warnings": list(dataset.warnings),
        "preprocessing": dataset.preprocessing.hash,
    }


def record_of(dataset: Dataset, training: ArrayLike, validation: ArrayLike = ()) -> dict[str, Any]:
    """What a run keeps of its data, JSON-able: ``describe``, and which slices it has seen, by hash.

    ``seen_before`` finds them again.
    """
    hashes = dataset.hashes or tuple(hash_of(image) for image in dataset.images)

    def rows(chosen: ArrayLike) -> list[dict[str, str]]:
        return [{"file": dataset.files[k], "hash": hashes[k]} for k in np.asarray(chosen, int).tolist()]

    return {**describe(dataset), "training": rows(training), "validation": rows(validation)}


def seen_before(dataset: Dataset, record: dict[str, Any]) -> list[str]:
    """Files of ``dataset`` whose pixels a run with this record was trained on (or chose its best epoch by)."""
    known = {row["hash"] for side in ("training", "validation") for row in record.get(side, ())}
    return [name for name, hash_ in zip(dataset.files, dataset.hashes) if hash_ in known]
