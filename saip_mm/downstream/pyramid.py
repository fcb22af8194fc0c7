"""Feature pyramid for plain ViTs."""

import math
from collections.abc import Sequence

from mmengine.model import BaseModule
from mmpretrain.models.utils import LayerNorm2d
from mmpretrain.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class ViTPyramid(BaseModule):
    """The simple feature pyramid of ViTDet (arXiv 2203.16527) without its output convs.

    Finer maps are made by transposed convolutions, each of which doubles the resolution
    and halves the channels, coarser ones by max pooling with sizes rounded up, as in a
    padded strided convolution. 192 channels at stride 16 become 48, 96, 192, and 192 at
    strides 4, 8, 16, and 32.

    Precedes or replaces a neck:

        neck=[
            dict(type='mmpretrain.ViTPyramid', in_channels=192),
            dict(type='FPN', in_channels=[48, 96, 192, 192], …),
        ]

    Args:
        in_channels: Channels of the ViT's map.
        strides: Strides of the output maps.
        in_stride: Stride of the ViT's map, its patch size.
        out_channels: Channels of each output map, made by a 1×1 convolution, for necks
            or heads with fixed channels; None, for one map or all, keeps its channels.
        neck: Config of a neck for the maps, for MMPose, which takes no list of necks.
        init_cfg: Initialization, see :class:`mmengine.model.BaseModule`.
    """

    def __init__(
        self,
        in_channels: int,
        strides: Sequence[int] = (4, 8, 16, 32),
        in_stride: int = 16,
        out_channels: Sequence[int | None] | None = None,
        neck: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_stride = in_stride
        wanted = [None] * len(strides) if out_channels is None else out_channels
        if len(wanted) != len(strides):
            raise ValueError(
                f'out_channels: {len(wanted)} numbers for {len(strides)} strides'
            )
        self.levels = nn.ModuleList()
        self.out_channels = []
        for stride, channels in zip(strides, wanted, strict=True):
            level, made = _level(in_channels, in_stride, stride)
            if channels is not None:
                level = nn.Sequential(level, nn.Conv2d(made, channels, 1))
            self.levels.append(level)
            self.out_channels.append(channels or made)
        self.neck = MODELS.build(neck) if neck else nn.Identity()

    def forward(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Maps [B, out_channels[i], h_i, w_i], or the neck's output for them.

        Args:
            maps: The backbone's maps; the last one, [B, C, h, w], is used.
        """
        # A ViT's map is channels-last in memory, which some heads cannot view.
        return self.neck(tuple(level(maps[-1]).contiguous() for level in self.levels))


def _level(channels: int, in_stride: int, stride: int) -> tuple[nn.Module, int]:
    """A module that changes the stride, and its number of output channels."""
    octaves = math.log2(in_stride / stride)
    if octaves != round(octaves):
        raise ValueError(f'strides: {stride} is not {in_stride} scaled by a power of 2')
    if octaves <= 0:
        return nn.MaxPool2d(stride // in_stride, ceil_mode=True), channels
    if channels % 2**octaves:
        raise ValueError(
            f'{channels} channels cannot be halved {octaves:.0f} times for stride '
            f'{stride}'
        )
    layers = []
    for _ in range(round(octaves)):
        if layers:
            layers += [LayerNorm2d(channels), nn.GELU()]
        layers.append(nn.ConvTranspose2d(channels, channels // 2, 2, stride=2))
        channels //= 2
    return nn.Sequential(*layers), channels
