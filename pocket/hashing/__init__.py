"""Networks, objectives and the trainer."""

from pocket.hashing.augmentation import Augmentation
from pocket.hashing.calibration import recalibrate, represent
from pocket.hashing.labelling import label
from pocket.hashing.networks import ConvNet, HashModel, TrainingReport
from pocket.hashing.objectives import OBJECTIVES, orthohash
from pocket.hashing.schedule import TrainConfig
from pocket.hashing.training import fine_tune, train

__all__ = [
    "OBJECTIVES",
    "Augmentation",
    "ConvNet",
    "HashModel",
    "TrainConfig",
    "TrainingReport",
    "fine_tune",
    "label",
    "orthohash",
    "recalibrate",
    "represent",
    "train",
]
