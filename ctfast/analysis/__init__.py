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
    from ctfast.analysis.analysis import Analysis, analyze
    from ctfast.analysis.command import report
    from ctfast.analysis.distributions import Distribution, distribution
    from ctfast.analysis.flags import RULES, Flag, Rule
    from ctfast.analysis.measuring import Measured, measure
    from ctfast.analysis.page import write_report
    from ctfast.analysis.records import SliceRecord
    from ctfast.analysis.single import write_single_report
    from ctfast.analysis.table import StatisticsTable
    from ctfast.analysis.tissues import CONTRAST_BAND, TISSUES, Tissue

_HOME: Final = {
    "Analysis": "analysis",
    "analyze": "analysis",
    "report": "command",
    "Distribution": "distributions",
    "distribution": "distributions",
    "RULES": "flags",
    "Flag": "flags",
    "Rule": "flags",
    "Measured": "measuring",
    "measure": "measuring",
    "write_report": "page",
    "SliceRecord": "records",
    "write_single_report": "single",
    "StatisticsTable": "table",
    "CONTRAST_BAND": "tissues",
    "TISSUES": "tissues",
    "Tissue": "tissues",
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
