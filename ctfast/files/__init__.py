"""Reading and writing CT image files (``formats`` lists which), and the layout of the Kaggle set.

Knows files and nothing of devices, kernels or pipelines. pydicom, nibabel and tifffile are imported when a file needs
them. What values mean travels with them (``Image.units``); see the module of each format for its policies.
"""

from __future__ import annotations

from ctfast.batch.choices import UnitsChoice
from ctfast.files.find import SPLITS, Found, FoundFile, Ignored, Unread, find_images
from ctfast.files.formats import Compression
from ctfast.files.image import Allocate, Image, Limits, Units
from ctfast.files.kaggle import CONTRAST, KaggleName, Overview, OverviewRow, find_overview, parse_name, read_overview
from ctfast.files.reading import read_image
from ctfast.files.writing import OutputFormat, write_image

__all__ = [
    "CONTRAST",
    "SPLITS",
    "Allocate",
    "Compression",
    "Found",
    "FoundFile",
    "Ignored",
    "Image",
    "KaggleName",
    "Limits",
    "OutputFormat",
    "Overview",
    "OverviewRow",
    "Units",
    "UnitsChoice",
    "Unread",
    "find_images",
    "find_overview",
    "parse_name",
    "read_image",
    "read_overview",
    "write_image",
]
