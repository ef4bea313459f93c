"""Pixel-intensity analysis of CT slices: statistics, tissues, flags, figures and the HTML report.

>>> from ctfast import analysis
>>> found = analysis.analyze("slices/")
>>> found.table                       # one row a slice; to_csv, to_json
>>> [f.value for f in found.flags]
>>> analysis.plots.box(found, by="class")
>>> analysis.write_report(found, "report.html")

Flags are pointers for a person, never a diagnosis. Not a medical device.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ctfast.analysis import plots
    from ctfast.analysis.command import report
    from ctfast.analysis.flags.rules import RULES, Flag, Rule
    from ctfast.analysis.pages.set_page import write_report
    from ctfast.analysis.pages.slice_page import write_single_report
    from ctfast.analysis.scan.analyze import Analysis, analyze
    from ctfast.analysis.scan.distributions import Distribution, distribution
    from ctfast.analysis.scan.records import SliceRecord
    from ctfast.analysis.scan.statistics import Measured, measure
    from ctfast.analysis.scan.table import StatisticsTable
    from ctfast.analysis.scan.tissues import CONTRAST_BAND, TISSUES, Tissue

_HOME: Final = {
    "Analysis": "scan.analyze",
    "analyze": "scan.analyze",
    "report": "command",
    "Distribution": "scan.distributions",
    "distribution": "scan.distributions",
    "RULES": "flags.rules",
    "Flag": "flags.rules",
    "Rule": "flags.rules",
    "Measured": "scan.statistics",
    "measure": "scan.statistics",
    "write_report": "pages.set_page",
    "SliceRecord": "scan.records",
    "write_single_report": "pages.slice_page",
    "StatisticsTable": "scan.table",
    "CONTRAST_BAND": "scan.tissues",
    "TISSUES": "scan.tissues",
    "Tissue": "scan.tissues",
}

__all__ = [
    "CONTRAST_BAND",
    "RULES",
    "TISSUES",
    "Analysis",
    "Distribution",
    "Flag",
    "Measured",
    "Rule",
    "SliceRecord",
    "StatisticsTable",
    "Tissue",
    "analyze",
    "distribution",
    "measure",
    "plots",
    "report",
    "write_report",
    "write_single_report",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(f"ctfast.analysis.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    if name == "plots":
        return importlib.import_module("ctfast.analysis.plots")
    raise AttributeError(f"module 'ctfast.analysis' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
