"""What bounded a run, and what to change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

_ADVICE: Final = {
    "read": "reading and decoding: inputs without compression, or on faster storage, or more --workers",
    "compute": "computing: more cores (--workers), a GPU (--backend gpu), or fewer steps",
    "write": "writing: no --compression, faster storage for --out, or a narrower dtype of the last step",
    "closing": "putting the records together: fewer runs into one folder, or --shard",
    "waiting": "waiting for workers to start or for the other programs of this machine: more files a run, "
    "`ctfast warm` once, or fewer --workers",
}


@dataclass(frozen=True)
class Profile:
    """Shares of a run's time.

    Attributes:
        shares: of the stages, of closing and of waiting, 0 to 1, together 1.
        bound: the largest of them.
        advice: what to change.
    """

    shares: dict[str, float]
    bound: str
    advice: str

    @classmethod
    def of(cls, stages: Mapping[str, float], workers: int, seconds: float, closing: float) -> Profile:
        """From the seconds of each stage over all workers, of the whole run, and of its closing."""
        shares = {name: spent / workers for name, spent in stages.items()} | {"closing": closing}
        total = max(seconds, sum(shares.values()), 1e-9)
        shares["waiting"] = total - sum(shares.values())
        shares = {name: round(spent / total, 4) for name, spent in shares.items()}
        bound = max(shares, key=shares.__getitem__)
        return cls(shares, bound, _ADVICE[bound])

    def text(self) -> str:
        """One line."""
        listed = ", ".join(f"{name} {share:.0%}" for name, share in self.shares.items())
        return f"time of the workers: {listed}; bound by {self.advice}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)
