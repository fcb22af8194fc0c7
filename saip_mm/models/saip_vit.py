"""A plain vision transformer for rectangular images of any size."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from mmcv.cnn.bricks import DropPath
from mmengine.model.weight_init import trunc_normal_
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.models.utils import (
    build_2d_sincos_position_embedding,
    resize_pos_embed,
)
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from .attention import block_maps, class_token
from .encoder import Encoded
from .weights import Grid, PretrainedStart, format_size, other_functions

# Tensors that determine a ViT's sizes, and their number of dimensions.
_TELLING = {'cls_token': 3, 'pos_embed': 3, 'patch_embed.projection.weight': 4}
_TELLING |= {'layers.0.ffn.layers.0.0.weight': 2}


@MODELS.register_module()
class SAIPViT(PretrainedStart, VisionTransformer):
    """MMPretrain's ViT for rectangular images of any size, with SAIP's middle outputs.

    Parameter names are those of :class:`mmpretrain.models.VisionTransformer`. The
    position embedding belongs to the patch grid of ``img_size``; for images of other
    sizes it is resized in two dimensions (bicubic) at run time.

    State dicts of this class store the patch grid in torch's per-module metadata,
    because the shape of the position embedding is the same for 16×8 and 8×16. Positions
    of another grid are resized on loading. A plain dict of tensors lacks this metadata:
    ``load_state_dict`` then assumes the model's own grid for positions of its own
    shape, and needs ``source_grid`` for all others.

    Incomplete, surplus or non-finite weights are rejected, even with ``strict=False``,
    the default of MMEngine's loaders. To load a part on purpose, load
    ``{**vit.state_dict(), **part}``.

    Args:
        arch: An architecture name of MMPretrain's ViT, or a dict with ``embed_dims``,
            ``num_layers``, ``num_heads`` and ``feedforward_channels``. A pair of
            ``num_heads`` is for all but the last block and for the last one, as
            distillation may need (MMPretrain's ``layer_cfgs``).
        img_size: (h, w) in pixels for which positions are learned; a number means a
            square.
        middle_block: Index of the block after which the middle tokens are taken; by
            default half the number of blocks, which is 6 of 12. With the last block,
            there are no attention maps.
        out_type: What :meth:`forward` returns for each block in ``out_indices``:
            ``'featmap'`` [B, C, h, w], ``'cls_token'`` [B, C], ``'raw'`` or
            ``'avg_featmap'``.
        source_grid: (h, w) patch grid of weights without this metadata.
        fixed_positions: Whether positions are not trained. They are sines and cosines,
            as in MAE (arXiv 2111.06377), or those of pretrained weights.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH, prefix='backbone.')``
            starts from an exported or converted backbone (.pth or .safetensors); see
            :class:`~saip_mm.models.weights.PretrainedStart`.
        **kwargs: As for :class:`mmpretrain.models.VisionTransformer`.
    """

    omits_hidden = True  # blocks compute the visible patches only

    def __init__(
        self,
        arch: str | dict = 'deit-tiny',
        img_size: int | tuple[int, int] = (256, 128),
        middle_block: int | None = None,
        out_type: str = 'featmap',
        source_grid: tuple[int, int] | None = None,
        fixed_positions: bool = False,
        init_cfg: dict | list[dict] | None = None,
        **kwargs,
    ) -> None:
        per_block = {}
        if isinstance(arch, dict) and isinstance(arch['num_heads'], Sequence):
            others, last = arch['num_heads']
            blocks = [dict(num_heads=others)] * (arch['num_layers'] - 1)
            per_block = dict(layer_cfgs=[*blocks, dict(num_heads=last)])
            arch = dict(arch, num_heads=[others, last])
        super().__init__(
            arch=arch,
            img_size=img_size,
            out_type=out_type,
            init_cfg=init_cfg,
            **per_block,
            **kwargs,
        )
        if self.cls_token is None:
            raise ValueError('SAIPViT needs a class token: set with_cls_token=True')
        if middle_block is None:
            middle_block = self.num_layers // 2
        if not 0 <= middle_block < self.num_layers:
            raise ValueError(
                f'middle_block={middle_block} is not one of the {self.num_layers} '
                'blocks (counted from 0)'
            )
        self.middle_block = middle_block
        self.patch_size = self.patch_embed.projection.kernel_size[0]
        self.source_grid = source_grid
        self.fixed_positions = fixed_positions
        if fixed_positions:  # else frozen_stages decides
            self.pos_embed.requires_grad_(False)
        for module in self.modules():
            if isinstance(module, DropPath):
                # MMPretrain's NumPy numbers break graphs of torch.compile.
                module.drop_prob = float(module.drop_prob)

    def _freeze_stages(self) -> None:
        if self.frozen_stages > self.num_layers:
            raise ValueError(
                f'frozen_stages={self.frozen_stages}: the ViT has {self.num_layers} '
                'blocks; with that number, all of it is frozen'
            )
        super()._freeze_stages()

    def _init_from_scratch(self, init_cfg: list[dict]) -> None:
        super()._init_from_scratch(init_cfg)
        trunc_normal_(self.cls_token, std=0.02)
        if self.fixed_positions:
            set_sine_positions(self.pos_embed, self.patch_resolution)

    def encode(
        self,
        images: Tensor,
        visible: Tensor | None = None,
        until: Literal['middle', 'end', 'maps'] = 'end',
        attention: bool = False,
    ) -> Encoded:
        """Encode images; blocks compute nothing for patches that are not visible.

        Args:
            images: [B, 3, H, W], normalized; H and W whole numbers of patches.
            visible: [B, K] indices into the row-major patch grid; None shows all.
            until: ``'middle'`` stops after ``middle_block``; ``'maps'`` also returns
                the last map, for ``visible=None``.
            attention: Whether to return the last block's attention maps; not with
                ``until='middle'``.
        """
        tokens, grid = self._embed(images, visible)
        for layer in self.layers[: self.middle_block + 1]:
            tokens = layer(tokens)
        middle_token, middle = tokens[:, 0], tokens[:, 1:]
        if visible is not None:
            hidden = middle.new_zeros(len(images), grid[0] * grid[1], self.embed_dims)
            middle = hidden.scatter(1, visible[..., None].expand_as(middle), middle)
        middle_map = middle.transpose(1, 2).unflatten(2, grid)
        norm = self.ln1 if self.final_norm else nn.Identity()
        if until == 'middle':
            return Encoded(None, middle_token, middle_map, None)
        if until == 'maps':
            maps = None
            for layer in self.layers[self.middle_block + 1 :]:
                if attention and layer is self.layers[-1]:
                    maps = block_maps(layer, tokens)
                tokens = layer(tokens)
            tokens = norm(tokens)
            last_map = tokens[:, 1:].transpose(1, 2).unflatten(2, grid)
            return Encoded(tokens[:, 0], middle_token, middle_map, maps, last_map)
        if self.middle_block == self.num_layers - 1:
            return Encoded(norm(middle_token), middle_token, middle_map, None)

        for layer in self.layers[self.middle_block + 1 : -1]:
            tokens = layer(tokens)
        token, maps = class_token(self.layers[-1], tokens, attention)
        return Encoded(norm(token), middle_token, middle_map, maps)

    def _embed(
        self, images: Tensor, visible: Tensor | None = None
    ) -> tuple[Tensor, Grid]:
        """Tokens [B, 1 + h·w or 1 + K, C] with positions, and the grid (h, w)."""
        patches, grid = self.patch_embed(images)
        positions = resize_pos_embed(
            self.pos_embed, self.patch_resolution, grid, self.interpolate_mode
        )
        token, patches = self.cls_token + positions[:, :1], patches + positions[:, 1:]
        if visible is not None:
            index = visible[..., None].expand(-1, -1, self.embed_dims)
            patches = patches.gather(1, index)
        token = token.expand(images.shape[0], -1, -1)  # len() would fix it in ONNX
        tokens = torch.cat([token, patches], dim=1)
        return self.pre_norm(self.drop_after_pos(tokens)), grid

    def _save_to_state_dict(self, destination, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        metadata = getattr(destination, '_metadata', {}).get(prefix[:-1])
        if metadata is not None:
            metadata['grid'] = tuple(self.patch_resolution)
            metadata['num_heads'] = self.arch_settings['num_heads']

    def grid_of(
        self, pos_embed: Tensor, metadata: Mapping, name: str = 'pos_embed'
    ) -> Grid:
        """(h, w) patch grid of loaded positions [1, 1 + h·w, C].

        Args:
            pos_embed: The positions.
            metadata: ``grid`` and ``num_heads`` of the weights, if known.
            name: Name of the positions in messages.

        Raises:
            ValueError: If the grid is unknown or does not match, or the number of
                attention heads differs.
        """
        heads = self.arch_settings['num_heads']
        if metadata.get('num_heads', heads) != heads:
            raise ValueError(
                f'has {metadata["num_heads"]} attention heads, the model has {heads}'
            )
        grid = metadata.get('grid') or self.source_grid
        if grid is None and pos_embed.shape == self.pos_embed.shape:
            grid = self.patch_resolution
        if grid is None:
            raise ValueError(
                f'the weights do not state the patch grid of {name} (this '
                f'model has {tuple(self.patch_resolution)}): give SAIPViT '
                'source_grid=(h, w), or convert the weights with '
                'tools/convert_checkpoint.py'
            )
        if pos_embed.ndim != 3 or pos_embed.shape[1] - 1 != grid[0] * grid[1]:
            raise ValueError(
                f'pos_embed of shape {format_size(pos_embed.shape)} is not a class '
                f'token and a patch grid of {format_size(grid)} (h×w): give the grid '
                'it was trained with'
            )
        return tuple(grid)

    @staticmethod
    def config_of(
        tensors: Mapping[str, Tensor], num_heads: int | list[int] | None
    ) -> dict:
        """Arguments of the ViT with these tensors.

        Args:
            tensors: Weights by name.
            num_heads: Not evident from tensors; None takes the number of MMPretrain's
                architecture of the same sizes.

        Raises:
            ValueError: If they are not those of a plain ViT, or the number of heads is
                unknown.
        """
        if others := other_functions(tensors):
            raise ValueError(f'is not a plain ViT: it has {others}')
        for name, ndim in _TELLING.items():
            if name not in tensors or tensors[name].ndim != ndim:
                if longer := next((n for n in tensors if n.endswith(f'.{name}')), ''):
                    prefix = longer.removesuffix(name)
                    raise ValueError(
                        f'has a ViT under {prefix!r}: remove this from its names'
                    )
                raise ValueError(
                    f'is not a ViT with a class token: it lacks {name} (for backbones '
                    'of your own, see docs/extending.md, "Write an adapter from '
                    'scratch")'
                )
        blocks = {name.split('.')[1] for name in tensors if name.startswith('layers.')}
        arch = dict(
            embed_dims=tensors['cls_token'].shape[-1],
            num_layers=len(blocks),
            feedforward_channels=tensors['layers.0.ffn.layers.0.0.weight'].shape[0],
        )
        for known in VisionTransformer.arch_zoo.values():
            if num_heads is None and arch.items() <= known.items():
                num_heads = known['num_heads']
        if num_heads is None:
            raise ValueError(
                f'does not state its number of attention heads, and {arch} is not a '
                'known ViT: convert it with tools/convert_checkpoint.py --num-heads N'
            )
        if np.any(arch['embed_dims'] % np.array(num_heads)):
            raise ValueError(
                f'states {num_heads} attention heads, which cannot share '
                f'{arch["embed_dims"]} channels equally'
            )
        patch_size = tensors['patch_embed.projection.weight'].shape[-1]
        return dict(arch=dict(arch, num_heads=num_heads), patch_size=patch_size)


@torch.no_grad()
def set_sine_positions(positions: Tensor, grid: Grid) -> None:
    """Set positions [1, 1 + h·w, C] to MAE's sines and cosines, the class token's to 0.

    The first half of the channels encodes the column, the second the row.
    """
    channels = positions.shape[2]
    # MMPretrain orders patches by column, then row, and encodes the row first.
    sines = build_2d_sincos_position_embedding(grid[::-1], channels, cls_token=True)
    positions.copy_(sines.roll(channels // 2, dims=2))
