"""TinyViT for rectangular images of any size, with a stride of 16 up to the end."""

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from mmengine.model import BaseModule
from mmpretrain.models.backbones.base_backbone import BaseBackbone
from mmpretrain.models.backbones.tinyvit import (
    MLP,
    ConvBN2d,
    MBConvBlock,
    PatchEmbed,
    PatchMerging,
    TinyViT,
)
from mmpretrain.models.utils import LayerNorm2d, LeAttention
from mmpretrain.registry import MODELS
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, pad, scaled_dot_product_attention

from .pooled import PooledBackbone, count_modules
from .reconstruction import from_patches, to_patches

STAGES = 4


class WindowAttention(LeAttention):
    """MMPretrain's attention with position biases that are never stale.

    ``LeAttention`` caches its biases at the last call of ``eval()``, on the device of
    that moment; averaging changes those of a teacher afterwards.
    """

    def train(self, mode: bool = True) -> 'WindowAttention':
        return nn.Module.train(self, mode)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, C] tokens of windows → [B, N, C]."""
        qkv = self.qkv(self.norm(x)).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
        biases = self.attention_biases[:, self.attention_bias_idxs]
        attended = scaled_dot_product_attention(*qkv.chunk(3, dim=3), attn_mask=biases)
        return self.proj(attended.transpose(1, 2).flatten(2))


class WindowBlock(BaseModule):
    """MMPretrain's ``TinyViTBlock`` for maps of any size.

    Maps are padded with zeros to whole windows, on the right and below, as in TinyViT.
    """

    def __init__(
        self, channels: int, num_heads: int, window_size: int, mlp_ratio: float
    ) -> None:
        super().__init__()
        self.window_size = window_size
        self.attn = WindowAttention(
            channels,
            channels // num_heads,
            num_heads,
            attn_ratio=1,
            resolution=(window_size, window_size),
        )
        self.mlp = MLP(channels, int(mlp_ratio * channels))
        self.local_conv = ConvBN2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] → [B, C, h, w]."""
        x = self.local_conv(x + self._attend(x))
        tokens = x.flatten(2).mT
        return (tokens + self.mlp(tokens)).mT.unflatten(2, x.shape[2:])

    def _attend(self, x: Tensor) -> Tensor:
        side, (channels, height, width) = self.window_size, x.shape[1:]
        x = pad(x, (0, -width % side, 0, -height % side))
        windows = to_patches(x, side)
        # [B, windows, side²·C] → [B·windows, side², C]
        tokens = windows.unflatten(2, (-1, channels)).flatten(0, 1)
        windows = self.attn(tokens).view_as(windows)
        x = from_patches(windows, (x.shape[2] // side, x.shape[3] // side), side)
        return x[:, :, :height, :width]


class Merging(PatchMerging):
    """MMPretrain's ``PatchMerging``, from map to map; stride 1 keeps the resolution."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__((0, 0), in_channels, out_channels)
        self.conv2.conv2d.stride = (stride, stride)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] → [B, out_channels, h / stride, w / stride]."""
        return self.conv3(self.act(self.conv2(self.act(self.conv1(x)))))


@MODELS.register_module()
class SAIPTinyViT(PooledBackbone, BaseBackbone):
    """TinyViT (arXiv 2207.10666) for SAIP: strides 4, 8, 16 and 16, then a neck.

    The last merging keeps the resolution, so that the last stage has a ViT's grid; its
    map, 320 channels of TinyViT-5M, is the middle map. The mean of the neck's map is
    the image token. Parameter names are those of :class:`mmpretrain.models.TinyViT`;
    the neck takes the place of its final norm. There is no drop path.

    Args:
        arch: ``'5m'``, ``'11m'``, ``'21m'``, or a dict with ``channels``,
            ``num_heads`` and ``depths`` of the four stages.
        window_size: Side of the windows of each stage; the first stage has none.
        mlp_ratio: Hidden channels, relative to those of the block.
        neck_channels: Channels of the neck, and of the image token.
        out_indices: Maps that :meth:`forward` returns: 0 to 3 are stages, 4 the neck.
        neck_stride: Stride of the neck's map in :meth:`forward`: 16, or 32 by max
            pooling before the neck.
        img_size: (h, w) in pixels of the training images; any other size works.
        init_cfg: As for :class:`~saip_mm.models.saip_vit.SAIPViT`.
    """

    middle_step = 2 * STAGES - 1

    def __init__(
        self,
        arch: str | dict = '5m',
        window_size: Sequence[int] = (7, 7, 14, 7),
        mlp_ratio: float = 4.0,
        neck_channels: int = 256,
        out_indices: Sequence[int] = (STAGES,),
        neck_stride: int = 16,
        img_size: tuple[int, int] = (256, 128),
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg, img_size=img_size)
        arch = TinyViT.arch_settings[arch] if isinstance(arch, str) else arch
        channels, heads = arch['channels'], arch['num_heads']
        if {len(each) for each in (*arch.values(), window_size)} != {STAGES}:
            raise ValueError(
                f'arch={arch} and window_size={window_size} should have {STAGES} '
                'entries, one per stage'
            )
        if not set(out_indices) <= set(range(STAGES + 1)) or neck_stride not in (
            16,
            32,
        ):
            raise ValueError(
                f'out_indices={tuple(out_indices)}, neck_stride={neck_stride}: give '
                f'indices from 0 to {STAGES}, and a stride of 16 or 32'
            )
        self.embed_dims = neck_channels
        self.out_indices, self.neck_stride = tuple(out_indices), neck_stride
        self.patch_embed = PatchEmbed(3, channels[0], (0, 0))
        self.stages = nn.ModuleList()
        for i, depth in enumerate(arch['depths']):
            blocks = nn.Sequential()
            for _ in range(depth):
                block = (
                    WindowBlock(channels[i], heads[i], window_size[i], mlp_ratio)
                    if i
                    else MBConvBlock(channels[0], channels[0], mlp_ratio, 0.0)
                )
                blocks.append(block)
            stage = OrderedDict(blocks=blocks)
            if i < STAGES - 1:
                stride = 2 if i < STAGES - 2 else 1
                stage['downsample'] = Merging(channels[i], channels[i + 1], stride)
            self.stages.append(nn.Sequential(stage))
        self.neck = nn.Sequential(
            nn.Conv2d(channels[-1], neck_channels, 1, bias=False),
            LayerNorm2d(neck_channels, eps=1e-6),
            nn.Conv2d(neck_channels, neck_channels, 3, padding=1, bias=False),
            LayerNorm2d(neck_channels, eps=1e-6),
        )

    def steps(self) -> list[nn.Module]:
        parts = [part for stage in self.stages for part in stage]
        return [self.patch_embed, *parts, self.neck]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps of ``out_indices`` [B, C, h, w] for images [B, 3, H, W]."""
        x, maps = self.patch_embed(images), []
        for stage in self.stages:
            x = stage.blocks(x)
            maps.append(x)
            if 'downsample' in stage._modules:
                x = stage.downsample(x)
        if self.out_indices and max(self.out_indices) == STAGES:
            pooled = max_pool2d(x, 2, ceil_mode=True) if self.neck_stride == 32 else x
            maps.append(self.neck(pooled))
        return tuple(maps[i] for i in self.out_indices)

    @staticmethod
    def config_of(tensors: Mapping[str, Tensor], num_heads: None = None) -> dict:
        """Arguments of the TinyViT with these tensors.

        Raises:
            KeyError: If a tensor that determines them is missing.
        """
        stages = range(1, count_modules(tensors, 'stages.'))
        first = [f'stages.{i}.blocks.0' for i in stages]
        biases = [tensors[f'{block}.attn.attention_biases'] for block in first]
        channels = [len(tensors[f'{block}.attn.norm.weight']) for block in first]
        stem = len(tensors['patch_embed.seq.2.conv2d.weight'])
        arch = dict(
            channels=[stem, *channels],
            num_heads=[1, *map(len, biases)],
            depths=[
                count_modules(tensors, f'stages.{i}.blocks.') for i in (0, *stages)
            ],
        )
        hidden = len(tensors['stages.0.blocks.0.conv1.conv2d.weight'])
        return dict(
            arch=arch,
            window_size=[7, *(math.isqrt(each.shape[1]) for each in biases)],
            mlp_ratio=hidden / stem,
            neck_channels=len(tensors['neck.0.weight']),
        )

    @staticmethod
    def levels_of(config: dict) -> dict[int, tuple[int, int]]:
        """Index in ``out_indices`` and channels by stride; 32 with ``neck_stride=32``.

        Args:
            config: From :meth:`config_of`.
        """
        first, second, _, fourth = config['arch']['channels']
        neck = config['neck_channels']
        return {4: (0, first), 8: (1, second), 16: (3, fourth), 32: (4, neck)}
