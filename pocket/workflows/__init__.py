"""What joins rooms: the tour, the doctor, and measuring one cell."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
