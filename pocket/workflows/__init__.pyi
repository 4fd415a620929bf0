from .doctor import Finding as Finding
from .doctor import examine as examine
from .manifest import Notebook as Notebook
from .manifest import notebooks as notebooks
from .measure import measure as measure
from .tour import TourError as TourError
from .tour import TourRecord as TourRecord
from .tour import tour as tour
