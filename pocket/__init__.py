"""pocket: does condensing a training set pay for deep hashing retrieval?

Importing it is cheap: every name below is loaded when it is first used (SPEC 1).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
