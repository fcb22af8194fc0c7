"""Masks of HAP (arXiv 2310.20695): blocks first, but body parts before blocks."""

import math

import numpy as np

from .views import Size

# Pairs of COCO keypoints. Mirrored images keep the names of their keypoints: every part
# is as likely as its mirror image.
PARTS = dict(
    face=((0, 1), (0, 2), (1, 2), (1, 3), (2, 4)),
    left_arm=((5, 7), (7, 9)),
    right_arm=((6, 8), (8, 10)),
    left_leg=((11, 13), (13, 15)),
    right_leg=((12, 14), (14, 16)),
    upper_body=((6, 11), (5, 12)),
)
NUM_KEYPOINTS = 17
MAX_PART_SHARE = 0.3
MIN_BLOCK = 12  # patches
MIN_ASPECT = 0.3
ATTEMPTS = 10


def draw_part_mask(
    rng: np.random.Generator,
    grid: Size,
    ratio: float,
    keypoints: np.ndarray | None,
    patch_size: int,
) -> np.ndarray:
    """Draw which patches of a person to remove.

    A random number of parts, in random order, each give up to 30 % of their patches;
    the others come from blocks, and what is then missing or too much is random.

    Args:
        rng: Generator.
        grid: (h, w) in patches.
        ratio: Share of patches to remove; a fraction of a patch is rounded up.
        keypoints: float [17, 3] of the image, COCO's: x, y in pixels, and v > 0 where
            known; None if the person is unknown.
        patch_size: Side of a patch in pixels.

    Returns:
        bool [h, w]; ``h * w - int(h * w * (1 - ratio))`` are True.
    """
    patches = math.prod(grid)
    count = patches - int(patches * (1 - ratio))
    priority = rng.random(patches)  # breaks ties
    priority[draw_blocks(rng, grid, count).ravel()] += 2
    if keypoints is not None:
        parts = part_patches(keypoints, grid, patch_size)
        chosen = rng.permutation(len(PARTS))
        chosen = [parts[i] for i in chosen if len(parts[i])]
        for rank, part in enumerate(chosen[: rng.integers(len(PARTS) + 1)]):
            removed = rng.permutation(part)
            removed = removed[: int(len(part) * rng.uniform(0, MAX_PART_SHARE))]
            priority[removed] = 100 - rank + rng.random(len(removed))
    mask = np.zeros(patches, bool)
    mask[np.argsort(-priority)[:count]] = True
    return mask.reshape(grid)


def draw_blocks(rng: np.random.Generator, grid: Size, count: int) -> np.ndarray:
    """Draw overlapping rectangles of at most ``count`` patches, as in BEiT.

    Stops before ``count`` if ten rectangles in a row do not fit.

    Returns:
        bool [h, w]
    """
    mask, (rows, columns) = np.zeros(grid, bool), grid
    while left := count - int(mask.sum()):
        for _ in range(ATTEMPTS):
            area = rng.uniform(*sorted((MIN_BLOCK, left)))
            aspect = math.exp(rng.uniform(math.log(MIN_ASPECT), -math.log(MIN_ASPECT)))
            height, width = (
                round(math.sqrt(each)) for each in (area * aspect, area / aspect)
            )
            if height >= rows or width >= columns:
                continue
            top = rng.integers(rows - height + 1)
            start = rng.integers(columns - width + 1)
            block = mask[top : top + height, start : start + width]
            if 0 < block.size - block.sum() <= left:
                block[:] = True
                break
        else:
            break
    return mask


def part_patches(
    keypoints: np.ndarray, grid: Size, patch_size: int
) -> list[np.ndarray]:
    """Patches of the parts, in the order of ``PARTS``.

    A part is the union of the boxes around its limbs; limbs without both ends do not
    count.

    Args:
        keypoints: As for :func:`draw_part_mask`, known ones inside the image.

    Returns:
        Indices into the row-major grid, ascending; none for parts out of view.
    """
    columns, rows = (keypoints[:, :2].T // patch_size).astype(int)
    known, found = keypoints[:, 2] > 0, []
    for limbs in PARTS.values():
        part = np.zeros(grid, bool)
        for ends in map(list, limbs):
            if known[ends].all():
                (top, bottom), (left, right) = sorted(rows[ends]), sorted(columns[ends])
                part[top : bottom + 1, left : right + 1] = True
        found.append(np.flatnonzero(part))
    return found
