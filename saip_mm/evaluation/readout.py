"""Linear maps of features, and what they read: attributes, parts, keypoints.

Maps that read parts and keypoints also know where a patch is, as fine-tuned heads do.
Otherwise, a network whose tokens plainly encode their positions, as sines do before any
training, would score as if it saw people: positions alone are worth more than what
small networks add to them.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate, unfold

PCK_RADIUS = 0.1  # of the longer side of a person's box
HEATMAP_SIGMA = 1.0  # in patches
UNLABELED = 255
CHUNK = 32  # images at a time in full resolution
STRENGTH = 1e-2  # of ridge regression
WAVES = 8  # of positions, per direction
SHRINKAGE = 0.1  # of whitening


class LinearMap(NamedTuple):
    """Standardize, multiply, add."""

    mean: Tensor  # [D] of the training features
    scale: Tensor  # [D], their standard deviations
    weight: Tensor  # [D, T]
    bias: Tensor  # [T]

    def __call__(self, design: Tensor) -> Tensor:
        """[N, D] → [N, T], in double precision."""
        return (design.double() - self.mean) / self.scale @ self.weight + self.bias


def fit_ridge(design: Tensor, targets: Tensor, strength: float = STRENGTH) -> LinearMap:
    """Fit targets [N, T] linearly to standardized features [N, D].

    Minimizes the mean over the rows of the squared error, plus ``strength`` times the
    squared norm of the weights, without the bias. With features of variance 1, the same
    strength suits any network and any number of rows.
    """
    design, mean, scale = _standardize(design)
    targets = targets.double()
    bias = targets.mean(dim=0)
    gram = design.T @ design / len(design)
    gram.diagonal().add_(strength)
    moment = design.T @ (targets - bias) / len(design)
    return LinearMap(mean, scale, torch.linalg.solve(gram, moment), bias)


def fit_discriminant(
    design: Tensor, shares: Tensor, strength: float = STRENGTH
) -> LinearMap:
    """Fit linear discriminant analysis of classes to standardized features [N, D].

    Scores are the logarithms of the classes' probabilities, plus a constant, for normal
    features with one covariance for all classes. Unlike regression to indicators, it
    does not mask rare classes by frequent ones (Hastie et al., *The Elements of
    Statistical Learning*, section 4.3).

    Args:
        design: Features.
        shares: [N, T] of every class in a row; their sum is the weight of the row.
        strength: Added to the variances within classes.
    """
    design, mean, scale = _standardize(design)
    shares = shares.double()
    counts, weights = shares.sum(dim=0), shares.sum(dim=1, keepdim=True)
    centers = (shares.T @ design) / counts.clamp_min(1e-9)[:, None]
    within = design.T @ (weights * design) - (centers.T * counts) @ centers
    within = within / weights.sum()
    within.diagonal().add_(strength)
    weight = torch.linalg.solve(within, centers.T)
    prior = (counts / weights.sum()).log().clamp_min(-1e3)  # of absent classes
    return LinearMap(mean, scale, weight, prior - (centers.T * weight).sum(dim=0) / 2)


def fit_whitening(features: Tensor, components: int = 128) -> LinearMap:
    """Principal components of features [N, D], divided by their standard deviations.

    Keeps at most ``components`` of them. ``SHRINKAGE`` times the mean variance is added
    to all variances, so that directions without signal are not amplified.

    Returns:
        A map of features [M, D] to [M, min(components, N, D)], in double precision.
    """
    features = features.double()
    mean = features.mean(dim=0)
    _, singular, directions = torch.linalg.svd(features - mean, full_matrices=False)
    variance = singular**2 / len(features)
    scale = (variance + SHRINKAGE * variance.mean()).clamp_min(1e-12).sqrt()
    kept = min(components, len(scale))
    one, zero = torch.ones(1), torch.zeros(1)
    return LinearMap(mean, one, directions[:kept].T / scale[:kept], zero)


def _standardize(design: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Features [N, D] of mean 0 and variance 1, unless constant; means; deviations."""
    design = design.double()
    mean = design.mean(dim=0)
    scale = design.std(dim=0, correction=0)
    scale = scale.where(scale > 1e-9 * (1 + mean.abs()), 1)
    return (design - mean) / scale, mean, scale


def attribute_accuracy(
    train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor
) -> float:
    """Mean accuracy mA: the mean over attributes of (TPR + TNR) / 2.

    An attribute is predicted where its score exceeds the midpoint between the mean
    scores of training images with and without it, so that rare ones are found. Those
    that all or none of the images have are excluded; ValueError if none is left.

    Args:
        train, test: [N, D] and [M, D] features of images.
        train_labels, test_labels: bool [N, A] and [M, A].
    """
    varying = [labels.any(0) & ~labels.all(0) for labels in (train_labels, test_labels)]
    varying = varying[0] & varying[1]
    if not varying.any():
        raise ValueError(
            'no attribute varies both among the images for fitting and among the others'
        )
    train_labels, test_labels = train_labels[:, varying], test_labels[:, varying]
    fitted = fit_ridge(train, train_labels)
    scores = fitted(train)
    threshold = (_mean(scores, train_labels) + _mean(scores, ~train_labels)) / 2
    predicted = fitted(test) > threshold
    accuracy = _mean(predicted, test_labels) + _mean(~predicted, ~test_labels)
    return (accuracy / 2).mean().item()


def part_iou(
    train: Tensor, train_parts: Tensor, test: Tensor, test_parts: Tensor
) -> float:
    """Mean IoU of parts over the pixels of the test images, for labels that occur.

    The map is a linear discriminant analysis of the labels' shares in each patch; its
    scores are enlarged bilinearly.

    Args:
        train, test: [N, C, h, w] and [M, C, h, w] features of patches.
        train_parts, test_parts: uint8 [N, H, W] and [M, H, W] labels; ``UNLABELED``
            pixels are left out.
    """
    known = [parts[parts != UNLABELED] for parts in (train_parts, test_parts)]
    count = 1 + int(torch.cat(known).max())
    classes = torch.arange(count)[:, None, None]
    shares = [
        adaptive_avg_pool2d((parts[:, None] == classes).float(), train.shape[2:])
        for parts in train_parts.split(CHUNK)
    ]
    fitted = fit_discriminant(_placed(train), _rows(torch.cat(shares)))
    confusion = torch.zeros(count, count, dtype=torch.long)  # [true, predicted]
    for maps, parts in zip(test.split(CHUNK), test_parts.split(CHUNK), strict=True):
        scores = _maps(fitted(_placed(maps)), maps).float()
        scores = interpolate(scores, parts.shape[1:], mode='bilinear')
        pairs = parts.long() * count + scores.argmax(dim=1)
        pairs = pairs[parts != UNLABELED]
        confusion += pairs.bincount(minlength=count**2).view(count, count)
    true, predicted = confusion.sum(1), confusion.sum(0)
    both = confusion.diagonal()
    iou = both / (true + predicted - both)
    return iou[true > 0].mean().item()


def keypoint_pck(
    train: Tensor,
    train_keypoints: Tensor,
    test: Tensor,
    test_keypoints: Tensor,
    boxes: Tensor,
    size: tuple[int, int],
) -> float:
    """Share of labeled keypoints found within ``PCK_RADIUS``.

    The map is fitted to Gaussians around labeled keypoints, sampled at the patches; a
    keypoint is placed at the centroid of the 3×3 patches around the highest score.

    Args:
        train, test: [N, C, h, w] and [M, C, h, w] features of patches.
        train_keypoints, test_keypoints: [N, K, 3] and [M, K, 3]: x, y in pixels, v.
        boxes: [M, 4]: x1, y1, x2, y2 of the people tested.
        size: (H, W) of the images in pixels.
    """
    grid = train.shape[2:]
    patch = torch.tensor([size[1] / grid[1], size[0] / grid[0]])  # (x, y)
    fitted = fit_ridge(_placed(train), _rows(_heatmaps(train_keypoints, grid, patch)))
    found = _peaks(_maps(fitted(_placed(test)), test)) * patch
    labeled = test_keypoints[..., 2] > 0
    if not labeled.any():
        raise ValueError('no keypoint of the test images is labeled')
    distance = (found - test_keypoints[..., :2]).norm(dim=-1)
    longer = (boxes[:, 2:] - boxes[:, :2]).amax(dim=1, keepdim=True)
    return (distance <= PCK_RADIUS * longer)[labeled].double().mean().item()


def _mean(values: Tensor, where: Tensor) -> Tensor:
    """Mean of each column [N, A] over the rows of a mask [N, A]: [A]."""
    return (values * where).sum(dim=0).double() / where.sum(dim=0)


def _rows(maps: Tensor) -> Tensor:
    """[N, C, h, w] → [N·h·w, C]"""
    return maps.permute(0, 2, 3, 1).flatten(0, 2)


def _placed(maps: Tensor) -> Tensor:
    """[N, C, h, w] → [N·h·w, C + P], with the lowest cosines of the position."""
    down, across = (
        torch.arange(min(WAVES, side))[:, None] * (torch.arange(side) + 0.5) / side
        for side in maps.shape[2:]
    )
    waves = [(math.pi * each).cos() for each in (down, across)]
    waves = torch.einsum('ih,jw->ijhw', *waves).flatten(0, 1)
    return _rows(torch.cat([maps, waves.expand(len(maps), -1, -1, -1)], dim=1))


def _maps(rows: Tensor, like: Tensor) -> Tensor:
    """[N·h·w, T] → [N, T, h, w], for the N and grid of ``like``."""
    count, _, height, width = like.shape
    return rows.view(count, height, width, -1).permute(0, 3, 1, 2)


def _heatmaps(keypoints: Tensor, grid: tuple[int, int], patch: Tensor) -> Tensor:
    """Gaussians [N, K, h, w] around keypoints [N, K, 3]; zero for unlabeled ones."""
    x, y = (keypoints[..., :2] / patch - 0.5).unbind(-1)
    rows, columns = (torch.arange(side) for side in grid)
    squared = (rows[:, None] - y[..., None, None]) ** 2
    squared = squared + (columns - x[..., None, None]) ** 2
    heat = torch.exp(-squared / (2 * HEATMAP_SIGMA**2))
    return heat * (keypoints[..., 2] > 0)[..., None, None]


def _peaks(scores: Tensor) -> Tensor:
    """Centroids [N, K, 2] (x, y) in patches of the 3×3 around each map's maximum.

    Coordinates count from the edge of the image: the first patch's center is at 0.5.
    Negative scores have no weight.
    """
    highest = scores.flatten(2).argmax(dim=-1)
    row, column = highest // scores.shape[-1], highest % scores.shape[-1]
    around = unfold(scores.clamp_min(0).flatten(0, 1)[:, None], 3, padding=1)
    weights = around.gather(2, highest.view(-1, 1, 1).expand(-1, 9, 1))
    weights = weights.view(*highest.shape, 3, 3)
    weights[..., 1, 1] += 1e-12  # all scores may be negative
    total = weights.sum(dim=(-2, -1))
    offsets = torch.tensor([-1, 0, 1])
    x = column + 0.5 + (weights * offsets).sum(dim=(-2, -1)) / total
    y = row + 0.5 + (weights * offsets[:, None]).sum(dim=(-2, -1)) / total
    return torch.stack([x, y], dim=-1)
