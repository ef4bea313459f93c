"""Pixel-intensity analysis of CT slices: statistics, tissues, flags, figures and the HTML report.

>>> from ctfast import analysis
>>> result = analysis.analyze("slices/")
>>> result.table                      # one row a slice; to_csv, to_json
>>> [f.value for f in result.flags]
>>> analysis.plots.box(result, by="class")
>>> analysis.write_report(result, "report.html")

Flags are pointers for a person, never a diagnosis. Not a medical device.
"""

from ctfast.dispatch.lazy import attach

__getattr__, __dir__ = attach(__name__, __file__)
