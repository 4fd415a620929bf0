"""pocket: does condensing a training set pay for deep hashing retrieval?

Importing it is cheap: every name below is loaded when it is first used (SPEC 1).
"""

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    try:
        return _load(name)
    except ModuleNotFoundError as error:  # the light install, which has no torch
        from pocket.runs.extras import explain

        if sentence := explain(error.name):
            raise ImportError(f"pocket.{name}: {sentence}", name=error.name) from None
        raise
