"""The public names of ctfast.analysis: where each lives and what it needs, as ctfast.dispatch.lazy reads it."""

from . import plots as plots
from .command import report as report
from .flags.rules import RULES as RULES
from .flags.rules import Flag as Flag
from .flags.rules import Rule as Rule
from .pages.set_page import write_report as write_report
from .pages.slice_page import write_single_report as write_single_report
from .scan.analyze import Analysis as Analysis
from .scan.analyze import analyze as analyze
from .scan.distributions import Distribution as Distribution
from .scan.distributions import distribution as distribution
from .scan.records import SliceRecord as SliceRecord
from .scan.statistics import Measured as Measured
from .scan.statistics import SliceStatistics as SliceStatistics
from .scan.statistics import measure as measure
from .scan.table import StatisticsTable as StatisticsTable
from .scan.tissues import CONTRAST_BAND as CONTRAST_BAND
from .scan.tissues import TISSUES as TISSUES
from .scan.tissues import Tissue as Tissue
