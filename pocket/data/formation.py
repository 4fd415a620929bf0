"""Multi-formation: one stored image is an f x f grid of tiles, each decoded to a full-size view.

Kim et al., "Dataset Condensation via Efficient Synthetic-Data Parameterization" (IDC), ICML 2022, sec. 4.
It lies in this room because condensing, training and exporting all decode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def tile_edges(size: int, factor: int) -> list[int]:
    """Return the ``factor + 1`` edges of the tiles along one side; sizes that do not divide differ by 1."""
    return [round(size * i / factor) for i in range(factor + 1)]


def decode(images: Tensor, factor: int) -> Tensor:
    """Enlarge every tile of every image to full size.

    Parameters
    ----------
    images : Tensor of float, shape (M, C, H, W)
    factor : int
        Tiles a side, f >= 1.

    Returns
    -------
    Tensor, shape (M * f^2, C, H, W)
        The views of image m stand at ``m * f^2 ... (m + 1) * f^2 - 1``, row by row. Differentiable.
    """
    import torch
    from torch.nn import functional

    if factor == 1:
        return images
    edges_y, edges_x = tile_edges(images.shape[2], factor), tile_edges(images.shape[3], factor)
    tiles = [
        functional.interpolate(
            images[:, :, edges_y[i] : edges_y[i + 1], edges_x[j] : edges_x[j + 1]],
            size=images.shape[2:],
            mode="bilinear",
            align_corners=False,
        )
        for i in range(factor)
        for j in range(factor)
    ]
    return torch.stack(tiles, dim=1).flatten(0, 1)


def encode(views: Tensor, factor: int) -> Tensor:
    """Shrink groups of f^2 full-size views into the tiles of one image each: what `decode` enlarges.

    Parameters
    ----------
    views : Tensor of float, shape (M * f^2, C, H, W)
    factor : int

    Returns
    -------
    Tensor, shape (M, C, H, W)
    """
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
