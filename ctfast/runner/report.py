"""What a run did, counted as its files finish."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ctfast.batch.packed import Packed
from ctfast.files import Ignored
from ctfast.files.asked import in_plane, mixed_orientation
from ctfast.runner.manifest import Row
from ctfast.runner.profile import Profile


@dataclass
class Tally:
    """Some files, counted where they are done."""

    ok: int = 0
    failed: int = 0
    images: int = 0
    input_bytes: int = 0
    not_hu: int = 0
    slowest_image: float = 0.0
    fastest_image: float = math.inf
    stage_seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("read", "compute", "write"), 0.0))
    seen_from: Counter[str] = field(default_factory=Counter)
    failures: list[Row] | Packed[Row] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    left_out: list[Ignored] | Packed[Ignored] = field(default_factory=list)

    def count(self, row: Row, expects_hu: bool) -> None:
        """Take one file in."""
        if row["status"] == "skipped":
            self.left_out.append(Ignored(Path(row["input"]), row["error"]))
            return
        if row["status"] != "ok":
            self.failed += 1
            self.failures.append(row)
            return
        self.ok += 1
        images = row["shape"][0] if len(row["shape"]) == 3 else 1
        self.images += images
        self.input_bytes += row["input_bytes"]
        self.notes.update(filter(None, row["notes"].split("; ")))
        self.seen_from[in_plane(row["orientation"], row["turned"])] += 1
        self.not_hu += expects_hu and row["units"] != "hu"
        each = row["compute_seconds"] / images
        self.slowest_image, self.fastest_image = max(self.slowest_image, each), min(self.fastest_image, each)
        self.stage_seconds["read"] += row["read_seconds"]
        self.stage_seconds["compute"] += row["compute_seconds"]
        self.stage_seconds["write"] += row["write_seconds"]


@dataclass(kw_only=True)
class Report(Tally):
    """What a run did.

    Attributes:
        out: folder of the outputs.
        pipeline: its hash.
        backend: which one computed.
        done_before: outputs that an earlier run had finished.
        left_out: paths in the input folders that are no images, with the reasons.
        gone: inputs of outputs of earlier runs that are no longer there; the outputs stay.
        ok: files whose output is written.
        failed: files that could not be done, listed in ``failures``.
        skipped: files that were not started, because the run stopped at an error.
        images: slices in the files that are done.
        input_bytes: size of these files.
        slowest_image: seconds that it was computed, of a volume the mean over its images; with kernels to compile it is
            the one that waited for them.
        fastest_image: the same.
        not_hu: files windowed in HU whose values are not known to be HU.
        seconds: of the whole run.
        closing_seconds: of these, of putting manifest and statistics together at its end.
        workers: files, or groups of some, at work at once.
        stage_seconds: of reading, computing and writing, summed over the workers.
        statistics: whether the pipeline has a histogram or summary step, so that there are ``summary.csv`` and
            ``statistics.npz``.
        seen_from: files by the directions of their columns and rows in the patient; see ``mixed_orientation``.
        failures: the manifest's lines of the files that failed.
        notes: what readers did or doubt, and how many files it is about.
    """

    out: Path
    pipeline: str
    backend: str
    done_before: int = 0
    gone: Sequence[str] = ()
    skipped: int = 0
    seconds: float = 0.0
    closing_seconds: float = 0.0
    workers: int = 1
    statistics: bool = True
    failures: list[Row] | Packed[Row] = field(default_factory=Packed)
    left_out: list[Ignored] | Packed[Ignored] = field(default_factory=Packed)

    @property
    def ignored(self) -> int:
        """How many paths were left out."""
        return len(self.left_out)

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON holds it; of failures the inputs and reasons, of what was left out the number."""
        apart = ("left_out", "failures", "notes", "seen_from", "slowest_image", "fastest_image")
        plain = {name: value for name, value in vars(self).items() if name not in apart}
        failures = [{"input": row["input"], "error": row["error"]} for row in self.failures]
        return {**plain, "out": str(self.out), "gone": list(self.gone), "ignored": self.ignored} | {
            "failures": failures,
            "notes": dict(self.notes),
            "mixed_orientation": self.mixed_orientation,
            "profile": self.profile().to_dict(),
        }

    def profile(self) -> Profile:
        """What the workers' time went into."""
        return Profile.of(self.stage_seconds, self.workers, self.seconds, self.closing_seconds)

    @property
    def waited_for_kernels(self) -> bool:
        """Whether an image took over a second, and many times as long as another: kernels were compiled or loaded."""
        return self.slowest_image > max(1.0, 20 * self.fastest_image)

    @property
    def mixed_orientation(self) -> str:
        """A sentence where files are seen from different sides; empty where they are not."""
        return mixed_orientation(self.seen_from)

    def add(self, tally: Tally) -> None:
        """Take some files in."""
        for name in ("ok", "failed", "images", "input_bytes", "not_hu"):
            setattr(self, name, getattr(self, name) + getattr(tally, name))
        for name, seconds in tally.stage_seconds.items():
            self.stage_seconds[name] += seconds
        self.slowest_image = max(self.slowest_image, tally.slowest_image)
        self.fastest_image = min(self.fastest_image, tally.fastest_image)
        self.notes.update(tally.notes)
        self.seen_from.update(tally.seen_from)
        self.failures.extend(tally.failures)
        self.left_out.extend(tally.left_out)
