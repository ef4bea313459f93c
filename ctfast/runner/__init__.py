"""Read, compute and write over many files: plan, overlap, resume, manifest, shards."""

from ctfast.runner.options import RunOptions
from ctfast.runner.report import Report
from ctfast.runner.running import execute, plan, run

__all__ = ["Report", "RunOptions", "execute", "plan", "run"]
