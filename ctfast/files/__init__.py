"""Reading and writing CT image files (``formats`` lists which), and the layout of the Kaggle set.

Knows files and nothing of devices, kernels or pipelines. pydicom, nibabel and tifffile are imported when a file needs
them. What values mean travels with them (``Image.units``); see the module of each format for its policies.
"""

from ctfast.dispatch.lazy import attach

__getattr__, __dir__ = attach(__name__, __file__)
