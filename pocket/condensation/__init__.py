"""Making small sets: IEM and what it is compared with."""

from pocket.condensation.config import IEMConfig
from pocket.condensation.matching import Step
from pocket.condensation.methods import METHODS, condense
from pocket.condensation.pool import Pool, make_pool

__all__ = ["METHODS", "IEMConfig", "Pool", "Step", "condense", "make_pool"]
