"""Read, compute and write over many files: plan, overlap, resume, manifest, shards."""

from ctfast.runner.manifest import Row, read_rows
from ctfast.runner.merging import Merged, merge
from ctfast.runner.options import RunOptions
from ctfast.runner.report import Report
from ctfast.runner.running import execute, plan, run

__all__ = ["Merged", "Report", "Row", "RunOptions", "execute", "merge", "plan", "read_rows", "run"]
