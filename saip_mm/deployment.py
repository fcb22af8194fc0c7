"""Fine-tuned models as networks from an image to its answer, for export to ONNX."""

from collections.abc import Sequence

import cv2
import torch
from mmengine.config import Config
from mmengine.utils import to_2tuple
from torch import Tensor, nn
from torch.nn.functional import conv2d, normalize, pad

from .data.configs import pipeline_of

OUTPUTS = dict(
    reid=('feature',),
    attributes=('scores',),
    parsing=('labels',),
    pose=('keypoints', 'scores'),
)


class Deployed(nn.Module):
    """A fine-tuned model, from images of one size to its answers.

    Args:
        task: One of ``OUTPUTS``.
        model: A model of MMPretrain, MMSegmentation or MMPose.
        img_size: (h, w) of the images, in pixels.
        mean, std: Per color (R, G, B), in 0–255.
    """

    def __init__(
        self,
        task: str,
        model: nn.Module,
        img_size: Sequence[int],
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        self.task, self.model, self.img_size = task, model, tuple(img_size)
        self.register_buffer('mean', torch.tensor(mean).view(3, 1, 1))
        self.register_buffer('std', torch.tensor(std).view(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Answers for images.

        Args:
            images: [B, 3, h, w], RGB, 0–255; for re-identification already normalized,
                as trackers do.

        Returns:
            - re-identification: features [B, C] of length 1;
            - attributes: scores [B, N] in 0–1;
            - parsing: labels, uint8 [B, h, w];
            - pose: keypoints [B, K, 2], x and y in pixels, and scores [B, K], without
              the average with the mirrored image.
        """
        if self.task == 'reid':
            features = self.model.extract_feat(images, stage='pre_logits')
            return normalize(features, dim=1)
        images = (images - self.mean) / self.std
        if self.task == 'attributes':
            return self.model(images, mode='tensor').sigmoid()
        if self.task == 'parsing':
            meta = dict(img_shape=self.img_size, pad_shape=self.img_size)
            logits = self.model.encode_decode(images, [meta])
            if logits.shape[1] == 1:  # of the second of two classes
                labels = logits[:, 0].sigmoid() > self.model.decode_head.threshold
            else:
                labels = logits.argmax(dim=1)
            return labels.to(torch.uint8)
        heatmaps = self.model(images, None, mode='tensor')
        return decode_heatmaps(
            heatmaps, self.model.head.decoder.blur_kernel_size, self.img_size
        )


def deploy(task: str, model: nn.Module, cfg: Config) -> Deployed:
    """Prepare a fine-tuned model, in evaluation mode and on the CPU, for export.

    Raises:
        ValueError: If the model is of another kind, or tested on images of other sizes.
    """
    if task not in OUTPUTS:
        raise ValueError(
            f'{cfg.filename}: models of {task} cannot be exported, only of '
            f'{", ".join(OUTPUTS)}'
        )
    preprocessor = cfg.model.get('data_preprocessor') or {}
    img_size = cfg.model.backbone.get('img_size')
    if not (preprocessor.get('to_rgb') or preprocessor.get('bgr_to_rgb')):
        raise ValueError(f'{cfg.filename}: the model does not take RGB images')
    if img_size is None:
        raise ValueError(
            f'{cfg.filename}: model.backbone has no img_size; use a backbone of saip_mm'
        )
    if task == 'parsing' and model.test_cfg.get('mode') == 'slide':
        raise ValueError(
            f'{cfg.filename}: model.test_cfg averages over sliding windows; to export '
            'the network of one window, inherit the config with model=dict(test_cfg='
            "dict(_delete_=True, mode='whole'))"
        )
    if task == 'pose':
        decoder = getattr(model.head, 'decoder', None)
        if getattr(decoder, 'heatmap_type', None) != 'gaussian':
            raise ValueError(
                f'{cfg.filename}: keypoints are exported for the codec UDPHeatmap with '
                f'Gaussian heatmaps, not for {type(decoder).__name__}'
            )
    size = tuple(to_2tuple(img_size))
    _compare_sizes(cfg, size)
    mean, std = preprocessor.get('mean'), preprocessor.get('std')
    if mean is None or std is None:
        raise ValueError(f'{cfg.filename}: the model does not normalize images')
    return Deployed(task, model, size, mean, std)


def _compare_sizes(cfg: Config, size: tuple[int, int]) -> None:
    """Raise ValueError if tests show images of other sizes (h, w) to the model."""
    for step in pipeline_of(cfg.test_dataloader.dataset):
        shape = step.get('scale') or step.get('input_size')  # (w, h)
        if shape is None:
            continue
        if step.get('keep_ratio'):
            raise ValueError(
                f'{cfg.filename}: the test pipeline keeps the aspect ratio of images, '
                'and exported networks take one size; to export, train with '
                'keep_ratio=False'
            )
        shape = tuple(to_2tuple(shape))
        if shape != size[::-1]:
            raise ValueError(
                f'{cfg.filename}: the test pipeline resizes images to {shape} (w, h), '
                f'not to model.backbone.img_size={size} (h, w): make them equal'
            )


def decode_heatmaps(
    heatmaps: Tensor, kernel_size: int, img_size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Keypoints of heatmaps, as MMPose's ``UDPHeatmap`` decodes them.

    A step of Newton's method on the logarithm of the blurred heatmap refines its
    highest pixel (arXiv 1910.06278, 1911.07524).

    Args:
        heatmaps: [B, K, h, w]
        kernel_size: Side of the Gaussian kernel in pixels of the heatmap.
        img_size: (h, w) of the image.

    Returns:
        [B, K, 2], x and y in pixels of the image; and the maxima [B, K].
    """
    height, width = heatmaps.shape[2:]
    scores, place = heatmaps.flatten(2).max(dim=2)
    # As in MMPose, a heatmap without a positive value has its keypoint at (-1, -1).
    nowhere = scores <= 0
    x = (place % width).masked_fill(nowhere, -1)
    y = (place // width).masked_fill(nowhere, -1)

    row = torch.from_numpy(cv2.getGaussianKernel(kernel_size, 0)).to(heatmaps)
    blurred = conv2d(heatmaps.flatten(0, 1)[:, None], row[None, None], padding='same')
    blurred = conv2d(blurred, row.T[None, None], padding='same').view_as(heatmaps)
    blurred = blurred * (scores / blurred.amax(dim=(2, 3)))[..., None, None]
    logs = pad(blurred.clamp(1e-3, 50.0).log(), (1, 1, 1, 1), mode='replicate').flatten(
        2
    )

    def at(dx: int, dy: int) -> Tensor:
        index = (y + 1 + dy) * (width + 2) + x + 1 + dx
        return logs.gather(2, index.clamp(min=0)[..., None])[..., 0]

    gradient_x, gradient_y = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
    eps = torch.finfo(torch.float32).eps
    xx = at(1, 0) - 2 * at(0, 0) + at(-1, 0) + eps
    yy = at(0, 1) - 2 * at(0, 0) + at(0, -1) + eps
    xy = at(1, 1) - at(1, 0) - at(0, 1) + 2 * at(0, 0)
    xy = (xy - at(-1, 0) - at(0, -1) + at(-1, -1)) / 2
    determinant = xx * yy - xy * xy
    x = x - (yy * gradient_x - xy * gradient_y) / determinant
    y = y - (xx * gradient_y - xy * gradient_x) / determinant
    scale_x, scale_y = img_size[1] / (width - 1), img_size[0] / (height - 1)
    return torch.stack([x * scale_x, y * scale_y], dim=-1), scores
