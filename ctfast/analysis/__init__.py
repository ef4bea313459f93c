"""Pixel-intensity analysis of CT slices: statistics, tissues, flags, figures and the HTML report.

>>> from ctfast import analysis
>>> found = analysis.analyze("slices/")
>>> found.table                       # one row a slice; to_csv, to_json
>>> [f.value for f in found.flags]
>>> analysis.plots.box(found, by="class")
>>> analysis.write_report(found, "report.html")

Flags are pointers for a person, never a diagnosis. Not a medical device.
"""

from ctfast.dispatch.lazy import attach

__getattr__, __dir__ = attach(__name__, __file__)
