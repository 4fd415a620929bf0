"""Multi-formation: one stored image is an f x f grid of tiles, each decoded to a full-size view.

Kim et al., "Dataset Condensation via Efficient Synthetic-Data Parameterization" (IDC), ICML 2022, sec. 4.
It lies in this room because condensing, training and exporting all decode. A formation is one number of tiles a side
for all images, or an array with one number an image.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor, device

Formation = int | npt.NDArray[np.int64]


def own_tiles(stored: npt.NDArray[np.int64], real: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """Return the finest formation of each class, up to ``most``, whose every tile starts from a real image of its own.

    Parameters
    ----------
    stored, real : ndarray of int64, shape (num_classes,)
        Stored images of each class, and real ones.
    most : int

    Returns
    -------
    ndarray of int64, shape (num_classes,)
        1 or more; ``most`` where nothing is stored.
    """
    fits: npt.NDArray[np.int64] = np.sqrt(real / np.maximum(stored, 1)).astype(np.int64)
    return np.where(stored > 0, fits.clip(1, most), most)


def tile_edges(size: int, factor: int) -> list[int]:
    """Return the ``factor + 1`` edges of the tiles along one side; sizes that do not divide differ by 1."""
    return [round(size * i / factor) for i in range(factor + 1)]


def decode(images: Tensor, formation: Formation) -> Tensor:
    """Enlarge every tile of every image to full size.

    Parameters
    ----------
    images : Tensor of float, shape (M, C, H, W)
    formation : int or ndarray of int64, shape (M,)
        Tiles a side, f >= 1.

    Returns
    -------
    Tensor, shape (sum of f^2, C, H, W)
        The views of each image stand together, in the order of the images, row by row. Differentiable.
    """
    import torch

    if isinstance(formation, int):
        return _decode(images, formation)
    parts = [_decode(images[rows], factor) for factor, rows, _ in _kinds(formation)]
    places = np.concatenate([views for _, _, views in _kinds(formation)])
    return torch.cat(parts)[np.argsort(places)]


def encode(views: Tensor, formation: Formation) -> Tensor:
    """Shrink each f^2 full-size views into the tiles of one image: what `decode` enlarges.

    Parameters
    ----------
    views : Tensor of float, shape (sum of f^2, C, H, W)
    formation : int or ndarray of int64, shape (M,)

    Returns
    -------
    Tensor, shape (M, C, H, W)
    """
    import torch

    if isinstance(formation, int):
        return _encode(views, formation)
    parts = [_encode(views[places], factor) for factor, _, places in _kinds(formation)]
    order = np.concatenate([rows for _, rows, _ in _kinds(formation)])
    return torch.cat(parts)[np.argsort(order)]


def _kinds(formation: npt.NDArray[np.int64]) -> list[tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Return each formation that occurs, the images that have it and the places of their views: a kind goes in one."""
    many = formation**2
    starts = np.cumsum(many) - many
    found = []
    for factor in np.unique(formation):
        rows = np.flatnonzero(formation == factor)
        found.append((int(factor), rows, (starts[rows, None] + np.arange(factor**2)).ravel()))
    return found


def _decode(images: Tensor, factor: int) -> Tensor:
    import torch

    if factor == 1:
        return images
    # A bilinear resize as two matrix products, whose gradients, unlike those of torch's own, add up in a fixed order
    # on a GPU: a condensation there that is resumed ends in the same bits.
    down, across = (
        [m.to(images.dtype) for m in _enlargements(side, factor, images.device)] for side in images.shape[2:]
    )
    edges_y, edges_x = tile_edges(images.shape[2], factor), tile_edges(images.shape[3], factor)
    tiles = [
        down[i] @ images[:, :, edges_y[i] : edges_y[i + 1], edges_x[j] : edges_x[j + 1]] @ across[j].T
        for i in range(factor)
        for j in range(factor)
    ]
    return torch.stack(tiles, dim=1).flatten(0, 1)


@cache
def _enlargements(size: int, factor: int, device: device) -> tuple[Tensor, ...]:
    """Return, for each tile along one side, the matrix that enlarges it, shape (size, pixels of the tile)."""
    import torch
    from torch.nn import functional

    tiles = (last - first for first, last in pairwise(tile_edges(size, factor)))
    return tuple(functional.interpolate(torch.eye(n)[None], size=size, mode="linear")[0].T.to(device) for n in tiles)


def _encode(views: Tensor, factor: int) -> Tensor:
    import torch
    from torch.nn import functional

    if factor == 1:
        return views
    groups = views.unflatten(0, (-1, factor * factor))
    edges_y, edges_x = tile_edges(views.shape[2], factor), tile_edges(views.shape[3], factor)
    rows = []
    for i in range(factor):
        height = edges_y[i + 1] - edges_y[i]
        row = [
            functional.interpolate(
                groups[:, i * factor + j],
                size=(height, edges_x[j + 1] - edges_x[j]),
                mode="bilinear",
                align_corners=False,
                antialias=True,
            )
            for j in range(factor)
        ]
        rows.append(torch.cat(row, dim=3))
    return torch.cat(rows, dim=2)
