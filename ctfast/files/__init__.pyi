"""The public names of ctfast.files: where each lives, as ctfast.dispatch.lazy reads it."""

from .find import SPLITS as SPLITS
from .find import Found as Found
from .find import FoundFile as FoundFile
from .find import Ignored as Ignored
from .find import Unread as Unread
from .find import find_images as find_images
from .formats import Compression as Compression
from .image import Allocate as Allocate
from .image import Image as Image
from .image import Limits as Limits
from .image import Units as Units
from .image import UnitsChoice as UnitsChoice
from .kaggle import CONTRAST as CONTRAST
from .kaggle import KaggleName as KaggleName
from .kaggle import Overview as Overview
from .kaggle import OverviewRow as OverviewRow
from .kaggle import find_overview as find_overview
from .kaggle import parse_name as parse_name
from .kaggle import read_overview as read_overview
from .reading import read_image as read_image
from .series import Series as Series
from .series import SliceSource as SliceSource
from .series import read_series as read_series
from .writing import OutputFormat as OutputFormat
from .writing import write_image as write_image
