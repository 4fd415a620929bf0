"""`ImageSearch`: what lies nearest to an image in a database, under one model."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pocket.data import ImageSet
from pocket.evaluation.codes import Codes
from pocket.evaluation.search import HammingIndex
from pocket.hashing import HashModel
from pocket.hashing.calibration import calibration, represent


class Hit(NamedTuple):
    """One found image: Hamming distance, place in the database, class, and its file where it came from a folder."""

    distance: int
    place: int
    label: str
    file: str = ""


class ImageSearch:
    """Encode images, and find what lies nearest in a database.

    Parameters
    ----------
    model : HashModel
        As trained: its head is recalibrated on the database, as `pocket.evaluate` does.
    database : ImageSet
        What is searched.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``.

    Attributes
    ----------
    codes : Codes
        Of the database, with labels.
    index : HammingIndex

    Raises
    ------
    ValueError
        If the database's images have another shape than the model takes, or there are fewer than 2.
    """

    def __init__(self, model: HashModel, database: ImageSet, *, device: str = "auto") -> None:
        self.database, self._model, self._device = database, model, device
        values = represent(model, database, device=device)
        self._calibration = calibration(model, values)
        self.codes = Codes.from_bits((self._calibration.apply(values) > 0).numpy(), database.labels)
        self.index = HammingIndex(self.codes)

    def encode(self, images: ImageSet) -> Codes:
        """Return the codes of other images, with their labels."""
        values = self._calibration.apply(represent(self._model, images, device=self._device))
        return Codes.from_bits((values > 0).numpy(), images.labels)

    def usual_distance(self, images: ImageSet, *, share: float = 0.95, sample: int = 500) -> int:
        """Return the distance to the nearest code within which a share of known images lie.

        An image that lies farther is unlike them: it may be of no class of the database.

        Parameters
        ----------
        images : ImageSet
            Known ones that are not in the database, such as the queries of the split.
        share : float
            0 ... 1.
        sample : int
            Images at most, evenly spread over the set.
        """
        some = images.subset(np.arange(0, len(images), max(1, len(images) // sample)))
        near = np.sort(self.index.search(self.encode(some), 1)[0][:, 0])
        return int(near[max(0, math.ceil(share * len(near)) - 1)])

    def nearest(self, image: npt.NDArray[np.uint8], k: int = 8) -> list[Hit]:
        """Return the k nearest images of the database, nearest first.

        Parameters
        ----------
        image : ndarray of uint8, shape (C, H, W)
            Of the database's shape: `pocket.data.decoding.decode_image` brings any image file to it.
        k : int
            As many as there are, where the database holds fewer.

        Returns
        -------
        list of Hit

        Raises
        ------
        ValueError
            If the image has another shape, or k is below 1.
        """
        one = ImageSet(image[None], np.zeros(1, dtype=np.int64), self.database.class_names, "the image")
        distances, places = self.index.search(self.encode(one), min(k, len(self.index)))
        names, labels, files = self.database.class_names, self.database.labels, self.database.files
        return [
            Hit(distance, place, names[labels[place]], files[place] if files else "")
            for distance, place in zip(distances[0].tolist(), places[0].tolist(), strict=True)
        ]
