"""Read, compute and write over many files: plan, overlap, resume, manifest, shards."""

from ctfast.runner.running import Report, execute, plan, run

__all__ = ["Report", "execute", "plan", "run"]
