"""Making small sets: IEM and what it is compared with."""

from pocket.condensation.config import IEMConfig
from pocket.condensation.matching import Step
from pocket.condensation.methods import METHODS, condense
from pocket.condensation.pool import Pool, make_pool
from pocket.condensation.update import changed_classes, update

__all__ = ["METHODS", "IEMConfig", "Pool", "Step", "changed_classes", "condense", "make_pool", "update"]
