"""Corruptions in the style of CIFAR-10-C, in torch alone, with an explicit generator.

Kinds, five severities and their strengths follow Hendrycks and Dietterich, "Benchmarking neural network robustness
to common corruptions and perturbations", ICLR 2019; the code is ours, so that figures are comparable in kind, not
to the digit, with published ones. Left out is frost, which is made of photographs of frost. What is measured in
pixels there is scaled here by the image's side over 32; smaller images are enlarged to 32 px or more, corrupted and
reduced again, as a camera would see it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from pocket.data import ImageSet
from pocket.hashing.devices import derive, to_float

SEVERITIES = (1, 2, 3, 4, 5)
_SIDE = 32

# Every function takes images in [0, 1], shape (N, C, H, W), the severity's place 0 ... 4, pixels by 32 and a generator.
Corrupt = Callable[[Tensor, int, float, torch.Generator], Tensor]


def _normal(x: Tensor, source: torch.Generator) -> Tensor:
    return torch.randn(x.shape, generator=source)


def _uniform(shape: tuple[int, ...], source: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=source)


def gaussian_noise(x: Tensor, level: int, unit: float, source: torch.Generator) -> Tensor:
    """Add normal noise, as a sensor in low light does."""
    return x + _normal(x, source) * (0.04, 0.06, 0.08, 0.09, 0.10)[level]


def shot_noise(x: Tensor, level: int, unit: float, source: torch.Generator) -> Tensor:
    """Count photons: Poisson noise."""
    photons = (500, 250, 100, 75, 50)[level]
    return torch.poisson(x * photons, generator=source) / photons


def impulse_noise(x: Tensor, level: int, unit: float, source: torch.Generator) -> Tensor:
    """Set single values to black or white."""
    share = (0.01, 0.02, 0.03, 0.05, 0.07)[level]
    drawn = _uniform(tuple(x.shape), source)
    return torch.where(drawn < share / 2, 0.0, torch.where(drawn > 1 - share / 2, 1.0, x))


def defocus_blur(x: Tensor, level: int, unit: float, source: torch.Generator) -> Tensor:
    """Blur with a disk, a lens out of focus."""
    radius, soft = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1))[level]
    reach = math.ceil(radius * unit) + 1
    at = torch.arange(-reach, reach + 1, dtype=torch.float32)
    disk = ((at[:, None] ** 2 + at**2) <= (radius * unit) ** 2).float()[None, None]
    return _filter(_filter(x, disk[0, 0] / disk.sum()), _bell(soft * unit))


def glass_blur(x: Tensor, level: int, unit: float, source: torch.Generator) -> Tensor:
    """Swap neighbouring pixels at random, as frosted glass does."""
    sigma, reach, rounds = ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2))[level]
    x = _filter(x, _bell(sigma * unit))
    count, _, height, width = x.shape
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    far = max(1, round(reach * unit))
    for _ in range(rounds):
        move = torch.randint(-far, far + 1, (2, count, height, width), generator=source)
        y, z = (rows + move[0]).clamp(0, height - 1), (columns + move[1]).clamp(0, width - 1)
        x = x.flatten(2).gather(2, (y * width + z).flatten(1)[:, None].expand(-1, x.shape[1], -1)).view(x.shape)
    return _filter(x, _bell(sigma * unit))


def motion_blur(x: Tensor, level: int, unit: float, source: torch.Generator) -> Tensor:
    """Blur along a line, each image in a direction of its own within 45 degrees of level."""
    radius, sigma = ((6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5))[level]
    angle = (_uniform((len(x),), source) - 0.5) * (math.pi / 2)
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float32)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    return _along(x, [(angle.cos() * o * unit, angle.sin() * o * unit) for o in offsets], weights / weights.sum())


def zoom_blur(x: Tensor, level: int, unit: float, source: torch.Generator) -> Tensor:
    """Average enlargements, as when the camera moves towards the scene."""
    steps = torch.arange(1, (1.06, 1.11, 1.16, 1.21, 1.26)[level] - 0.005, 0.01)
    whole = torch.zeros_like(x)
    for zoom in steps:
        theta = torch.tensor([[1 / zoom, 0, 0], [0, 1 / zoom, 0]]).expand(len(x), -1, -1)
        whole += _sample(x, functional.affine_grid(theta, list(x.shape), align_corners=False))
    return (whole + x) / (len(steps) + 1)


def snow(x: Tensor, level: int, unit: float, source: torch.Generator) -> Tensor:
    """Whiten, and let blurred flakes fall at an angle."""
    mean, spread, limit, length, keep = (
        (0.1, 0.2, 0.6, 3, 0.95),
        (0.1, 0.2, 0.5, 4, 0.9),
        (0.15, 0.3, 0.55, 4, 0.9),
        (0.25, 0.3, 0.6, 6, 0.85),
        (0.3, 0.3, 0.65, 12, 0.8),
    )[level]
    flakes = torch.randn(len(x), 1, *x.shape[2:], generator=source) * spread + mean
    flakes = torch.where(flakes < limit, 0.0, flakes)
    angle = (_uniform((len(x),), source) * 0.5 + 0.25) * math.pi  # downwards
    offsets = torch.arange(-length, length + 1, dtype=torch.float32) / 2
    weights = torch.full((len(offsets),), 1 / len(offsets)) * 2
    fallen = _along(flakes, [(angle.cos() * o * unit, angle.sin() * o * unit) for o in offsets], weights)
    grey = x.mean(dim=1, keepdim=True)
    pale = keep * x + (1 - keep) * torch.maximum(x, grey * 1.5 + 0.5)
    return pale + fallen + fallen.flip(2, 3)


def fog(x: Tensor, level: int, unit: float, source: torch.Generator) -> Tensor:
    """Lay a cloud over the image: noise whose finer detail is weaker."""
    strength, decay = ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75))[level]
    cloud = torch.zeros(len(x), 1, *x.shape[2:])
    cells, weight = 2, 1.0
    while cells <= max(x.shape[2:]):
        drawn = _uniform((len(x), 1, cells, cells), source)
        cloud += weight * functional.interpolate(drawn, size=x.shape[2:], mode="bilinear", align_corners=False)
        cells, weight = cells * 2, weight / decay
    low, high = cloud.amin(dim=(2, 3), keepdim=True), cloud.amax(dim=(2, 3), keepdim=True)
    brightest = x.amax(dim=(1, 2, 3), keepdim=True)
    return (x + strength * (cloud - low) / (high - low).clamp_min(1e-6)) * brightest / (brightest + strength)


def brightness(x: Tensor, level: int, unit: float, source: torch.Generator) -> Tensor:
    """Raise the value (of hue, saturation and value), hue and saturation kept."""
    by = (0.05, 0.1, 0.15, 0.2, 0.3)[level]
    value = x.amax(dim=1, keepdim=True)
    return torch.where(value > 0, x * ((value + by).clamp_max(1) / value.clamp_min(1e-6)), by)


def contrast(x: Tensor, level: int, unit: float, source: torch.Generator) -> Tensor:
    """Draw every channel towards its mean."""
    mean = x.mean(dim=(2, 3), keepdim=True)
    return (x - mean) * (0.75, 0.5, 0.4, 0.3, 0.15)[level] + mean


def elastic_transform(x: Tensor, level: int, unit: float, source: torch.Generator) -> Tensor:
    """Shear and stretch the image, and let a smooth field of shifts pull at it."""
    alpha, sigma, shear = (
        (0.0, 0.0, 0.08),
        (0.05, 0.2, 0.07),
        (0.08, 0.06, 0.06),
        (0.1, 0.04, 0.05),
        (0.1, 0.03, 0.03),
    )[level]
    theta = torch.eye(2, 3).repeat(len(x), 1, 1) + (_uniform((len(x), 2, 3), source) * 2 - 1) * shear * 1.5
    grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
    if alpha:
        field = _uniform((len(x), 2, *x.shape[2:]), source) * 2 - 1
        grid = grid + 2 * alpha * _filter(field, _bell(sigma * x.shape[2])).permute(0, 2, 3, 1)
    return _sample(x, grid)


def pixelate(x: Tensor, level: int, unit: float, source: torch.Generator) -> Tensor:
    """Reduce and enlarge again."""
    share = (0.95, 0.9, 0.85, 0.75, 0.65)[level]
    small = functional.interpolate(x, size=[max(1, int(side * share)) for side in x.shape[2:]], mode="area")
    return functional.interpolate(small, size=x.shape[2:], mode="nearest-exact")


# Recommendation ITU-T T.81, annex K: what a step of each frequency is worth at quality 50.
_LUMINANCE = (
    "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62 "
    "18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"
)
_CHROMINANCE = (
    "17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 99 " + "99 " * 32
)


def jpeg_compression(x: Tensor, level: int, unit: float, source: torch.Generator) -> Tensor:
    """Round the cosine coefficients of 8 x 8 blocks, colour at half the resolution, as JPEG files do."""
    quality = (80, 65, 58, 50, 40)[level]
    factor = (5000 / quality if quality < 50 else 200 - 2 * quality) / 100
    brightness, colour = (
        torch.tensor([float(v) for v in table.split()]).mul(factor).add(0.5).floor().clamp(1, 255).view(8, 8)
        for table in (_LUMINANCE, _CHROMINANCE)
    )
    if x.shape[1] == 1:
        return _rounded(x, brightness)
    mix = torch.tensor([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
    parts = torch.einsum("ij,njhw->nihw", mix, x)
    half = functional.avg_pool2d(parts[:, 1:], 2, ceil_mode=True)
    tints = functional.interpolate(_rounded(half + 0.5, colour) - 0.5, scale_factor=2, mode="bilinear")
    light = _rounded(parts[:, :1], brightness)
    whole = torch.cat([light, tints[:, :, : x.shape[2], : x.shape[3]]], dim=1)
    return torch.einsum("ij,njhw->nihw", torch.linalg.inv(mix), whole)


def _rounded(x: Tensor, steps: Tensor) -> Tensor:
    """Round the cosine coefficients of 8 x 8 blocks to multiples of ``steps`` / 255."""
    at = torch.arange(8)
    cosine = torch.cos((2 * at + 1) * at[:, None] * math.pi / 16) / 2
    cosine[0] /= math.sqrt(2)
    height, width = x.shape[2:]
    padded = functional.pad(x * 255 - 128, (0, -width % 8, 0, -height % 8), mode="replicate")
    blocks = padded.unfold(2, 8, 8).unfold(3, 8, 8)
    rounded = torch.round(cosine @ blocks @ cosine.T / steps) * steps
    back = (cosine.T @ rounded @ cosine).permute(0, 1, 2, 4, 3, 5).reshape(padded.shape)
    return (back[:, :, :height, :width] + 128) / 255


CORRUPTIONS: dict[str, Corrupt] = {
    f.__name__: f
    for f in (
        gaussian_noise,
        shot_noise,
        impulse_noise,
        defocus_blur,
        glass_blur,
        motion_blur,
        zoom_blur,
        snow,
        fog,
        brightness,
        contrast,
        elastic_transform,
        pixelate,
        jpeg_compression,
    )
}


def corrupt(images: ImageSet, name: str, severity: int, *, seed: int = 0) -> ImageSet:
    """Return a corrupted copy of a set of images.

    Parameters
    ----------
    images : ImageSet
        Grey or colour, of any size; see the module's text for those below 32 px.
    name : str
        One of `CORRUPTIONS`.
    severity : int
        1 (slight) to 5.
    seed : int
        Equal seeds give equal images.

    Raises
    ------
    ValueError
        If the name is unknown or the severity out of range.
    """
    if name not in CORRUPTIONS:
        raise ValueError(f"unknown corruption {name!r}; choose one of {', '.join(CORRUPTIONS)}")
    if severity not in SEVERITIES:
        raise ValueError(f"severity={severity}: it must lie in 1..{SEVERITIES[-1]}")
    source = torch.Generator().manual_seed(derive(seed, list(CORRUPTIONS).index(name), severity))
    times = max(1, -(-_SIDE // images.size)) if len(images) else 1
    parts = []
    for start in range(0, len(images), 250):
        x = to_float(images.images[start : start + 250], torch.device("cpu"))
        if times > 1:
            x = functional.interpolate(x, scale_factor=times, mode="bilinear", align_corners=False)
        x = CORRUPTIONS[name](x, severity - 1, x.shape[2] / _SIDE, source).clamp(0, 1)
        if times > 1:
            x = functional.avg_pool2d(x, times)
        parts.append((x * 255).round().byte())
    pixels = torch.cat(parts).numpy() if parts else images.images
    return replace(images, images=pixels, name=f"{images.name}, {name} {severity}")


def _bell(sigma: float) -> Tensor:
    """Return a Gaussian filter of this spread in pixels, two-dimensional, with sum 1."""
    reach = max(1, math.ceil(3 * sigma))
    line = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / max(sigma, 1e-3)) ** 2)
    kernel = line[:, None] * line
    return kernel / kernel.sum()


def _filter(x: Tensor, kernel: Tensor) -> Tensor:
    """Convolve every channel with one kernel; beyond the edge lies the edge."""
    reach = kernel.shape[0] // 2
    flat = functional.pad(x, [reach] * 4, mode="replicate").flatten(0, 1)[:, None]
    return functional.conv2d(flat, kernel[None, None]).view(x.shape)


def _sample(x: Tensor, grid: Tensor) -> Tensor:
    return functional.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _along(x: Tensor, shifts: list[tuple[Tensor, Tensor]], weights: Tensor) -> Tensor:
    """Add up copies of the images, each moved by pixels (right, down), shape (N,), with weights."""
    whole = torch.zeros_like(x)
    theta = torch.eye(2, 3).repeat(len(x), 1, 1)
    for (right, down), weight in zip(shifts, weights, strict=True):
        theta[:, 0, 2], theta[:, 1, 2] = 2 * right / x.shape[3], 2 * down / x.shape[2]
        whole += weight * _sample(x, functional.affine_grid(theta, list(x.shape), align_corners=False))
    return whole
