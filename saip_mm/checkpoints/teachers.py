"""Frozen models that others learn from: SAIP's, MMPretrain's and timm's."""

import os
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path

import torch
from mmengine.config import Config
from mmpretrain.models import BaseSelfSupervisor
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.registry import MODELS
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from ..data.images import normalize, resize
from ..files import sha256
from ..models.attention import attention_maps
from ..models.distillation import Taught
from ..models.weights import Grid, format_size, load_weights
from .backbone import choose_backbone
from .files import open_checkpoint, read_checkpoint, resolve_checkpoint, state_dict_of
from .output_cache import OutputCache, Outputs

DISTILLED_FROM = 'distilled_from'  # in the metadata of checkpoints and exports


class _Network(nn.Module):
    """A teacher's module, and how it sees images.

    Args:
        module: The model.
        tokens_of: Maps normalized images to tokens [B, p + h·w, D], class token first.
        prefix: Number p of class and register tokens.
        patch_size: Side of a patch in pixels.
        mean, std: Normalization, 0–255.
    """

    def __init__(
        self,
        module: nn.Module,
        tokens_of: Callable[[Tensor], Tensor],
        prefix: int,
        patch_size: int,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        self.module, self.tokens_of = module, tokens_of
        self.prefix, self.patch_size = prefix, patch_size
        self.register_buffer('mean', torch.tensor(mean).view(3, 1, 1))
        self.register_buffer('std', torch.tensor(std).view(3, 1, 1))

    def forward(self, images: Tensor, grid: Grid, dtype: torch.dtype) -> Tensor:
        """Images [B, 3, H, W], 0–255, in h × w patches → tokens [B, p + h·w, D]."""
        images = resize(images, [side * self.patch_size for side in grid])
        return self.tokens_of(normalize(images, self.mean, self.std).to(dtype))


class _LastAttention(TorchFunctionMode):
    """Remembers queries, keys and values of the last attention that is computed."""

    qkv: tuple[Tensor, ...] = ()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is scaled_dot_product_attention:
            self.qkv = args[:3]
        return func(*args, **(kwargs or {}))


@MODELS.register_module()
class DistillationTeacher:
    """A frozen teacher, which sees each view with its own normalization and patches.

    A view of h × w patches of the student is resized to h × w of the teacher's patches.
    Not a module: neither state dicts nor optimizers nor averages contain it. It is read
    when it is first called, so that tools that do not train need no file.

    Args:
        checkpoint: Weights: a training checkpoint, work directory, export or name of
            packaged weights of SAIP, or weights of the model named below.
        model: Name of a timm model with a class token, or a config file (.py) of
            MMPretrain with a ``VisionTransformer``; None for SAIP's.
        dtype: Its precision: ``'float32'``, ``'bfloat16'`` or ``'float16'``.
        cache: A folder for the outputs that losses need, in this precision, for views
            that are seen again: see ``StatelessSampler.view_epochs``.

    Raises:
        ValueError: If ``dtype`` is not the name of a type of floating-point numbers.
    """

    def __init__(
        self,
        checkpoint: str | os.PathLike,
        model: str | None = None,
        dtype: str = 'float32',
        cache: str | os.PathLike | None = None,
    ) -> None:
        kind = getattr(torch, dtype, None)
        if not isinstance(kind, torch.dtype) or not kind.is_floating_point:
            raise ValueError(
                f'teacher.dtype={dtype!r} is not one of float32, bfloat16, float16'
            )
        self.checkpoint, self.model = checkpoint, model
        self.dtype, self.cache = kind, cache

    @property
    def path(self) -> Path:
        """File of the weights."""
        try:
            return resolve_checkpoint(self.checkpoint)
        except (FileNotFoundError, ValueError) as error:
            raise type(error)(f'teacher.checkpoint: {error}') from error

    @property
    def source(self) -> dict[str, str]:
        """Name and SHA-256 of the weights."""
        name = Path(self.model or self.checkpoint).name
        return dict(name=name, sha256=sha256(self.path))

    @cached_property
    def _outputs(self) -> OutputCache:
        model = self.model
        if model and model.endswith('.py'):
            model = Config.fromfile(model).pretty_text
        return OutputCache(self.cache, f'{self.source["sha256"]} {self.dtype} {model}')

    @cached_property
    def network(self) -> _Network:
        path, build = self.path, _of_timm
        if self.model is None:
            build = _of_saip
        elif self.model.endswith('.py'):
            build = _of_mmpretrain
        with torch.random.fork_rng(devices=[]):
            try:
                network = build(path, self.model)
            except (ValueError, RuntimeError, TypeError) as error:
                if self.model is None:  # open_checkpoint names the file
                    raise
                unfit = isinstance(error, RuntimeError)  # torch's, for shapes
                raise ValueError(
                    f'{path} as the teacher {self.model}: {error}'
                    f'{"; give weights of this model" if unfit else ""}'
                ) from error
        network.module.to(self.dtype)
        return network.eval().requires_grad_(False)

    @torch.no_grad()
    def __call__(
        self,
        student: BaseSelfSupervisor,
        views: Tensor,
        attention: bool = False,
        patches: bool = True,
    ) -> Taught:
        """Compute the targets for views of a student's batch.

        Args:
            student: An algorithm, for its normalization and patch size.
            views: [B, 3, H, W], normalized for the student.
            attention: Whether to return attention maps.
            patches: Whether to return patch tokens.

        Raises:
            FileNotFoundError: If the checkpoint does not exist.
            ValueError: If the checkpoint does not fit the model, the model has no class
                token or attention, or views are not whole patches of the student.
        """
        patch, size = student.backbone.patch_size, tuple(views.shape[2:])
        if any(side % patch for side in size):
            raise ValueError(
                f'views of {format_size(size)} pixels (h×w) are not whole patches of '
                f'{patch}: change the sizes in DrawViews'
            )
        grid, own = tuple(side // patch for side in size), student.data_preprocessor
        look = partial(self._look, grid=grid, attention=attention, patches=patches)
        images = views * own.std + own.mean
        if self.cache is None:
            outputs = look(images)
        else:
            outputs = self._outputs(images, look, f'{grid} {attention} {patches}')
        tokens = outputs['tokens'].to(views)
        patch_map = tokens[:, 1:].mT.unflatten(2, grid) if patches else None
        maps = None
        if attention:
            maps = attention_maps(*outputs['qkv'].to(views).unbind(1))
        return Taught(tokens[:, 0], patch_map, maps)

    def _look(
        self, images: Tensor, grid: Grid, attention: bool, patches: bool
    ) -> Outputs:
        """Images [B, 3, H, W], 0–255 → ``tokens`` [B, 1 + h·w, D], or [B, 1, D] without
        patches; with attention, the last block's ``qkv`` [B, 3, heads, 1 + h·w, d]."""
        network = self.network.to(images.device)
        with (
            torch.autocast(images.device.type, enabled=False),
            _LastAttention() as last,
        ):
            tokens = network(images, grid, self.dtype)
        prefix = network.prefix
        if tokens.shape[1] - prefix != grid[0] * grid[1]:
            raise ValueError(
                f'{self.checkpoint} does not make a token per patch: it cannot teach'
            )

        def without_registers(each: Tensor) -> Tensor:
            return torch.cat([each[..., :1, :], each[..., prefix:, :]], dim=-2)

        outputs = dict(tokens=without_registers(tokens) if patches else tokens[:, :1])
        if attention:
            if not last.qkv or last.qkv[0].shape[2] != tokens.shape[1]:
                raise ValueError(
                    f'{self.checkpoint} has no attention over the whole image in its '
                    'last block: set attention_weight=0'
                )
            outputs['qkv'] = without_registers(torch.stack(last.qkv, dim=1))
        return outputs


def find_teacher(model: nn.Module) -> DistillationTeacher | None:
    """The frozen teacher of an algorithm, if it has one."""
    for part in (model, getattr(model, 'distillation', None)):
        teacher = getattr(part, 'teacher', None)
        if isinstance(teacher, DistillationTeacher):
            return teacher
    return None


def _of_saip(path: Path, model: None) -> _Network:
    with open_checkpoint(path) as (_, checkpoint):
        backbone = choose_backbone(checkpoint)
        module = backbone.build()

    def tokens_of(images: Tensor) -> Tensor:
        return module.encode(images, until='maps').last_tokens

    return _Network(
        module, tokens_of, 1, module.patch_size, backbone.mean, backbone.std
    )


def _of_mmpretrain(path: Path, model: str) -> _Network:
    cfg = Config.fromfile(model)
    name = cfg.model.backbone.type
    kind = MODELS.get(name)
    if kind is None or not issubclass(kind, VisionTransformer):
        raise ValueError(f'{name} is not a ViT with a class token')
    if kind.forward is not VisionTransformer.forward:
        raise ValueError(
            f'a {name} hides patches or returns more than tokens; set '
            "model.backbone.type='VisionTransformer' in that config"
        )
    vit = MODELS.build(dict(cfg.model.backbone, out_type='raw', init_cfg=None))
    if vit.cls_token is None:
        raise ValueError('it has no class token')
    tensors = choose_backbone(read_checkpoint(path)).tensors
    load_weights(vit, tensors)
    own = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor') or {}
    mean, std = (own.get(name) for name in ('mean', 'std'))
    if mean is None or std is None or not own.get('to_rgb'):
        raise ValueError(
            'its config has no data_preprocessor with mean, std and to_rgb=True'
        )
    side = vit.patch_embed.projection.kernel_size[0]
    return _Network(
        vit, lambda images: vit(images)[-1], vit.num_extra_tokens, side, mean, std
    )


def _of_timm(path: Path, model: str) -> _Network:
    try:
        import timm
    except ImportError as error:
        raise ValueError('timm is missing: run pip install timm') from error
    if not timm.is_model(model):
        raise ValueError('timm has no such model')
    # "Pretrained" by these weights: timm converts their authors' names, and downloads
    # nothing. It rejects weights that do not fit only if the number of classes fits.
    tensors = dict(state_dict_of(read_checkpoint(path)))
    weights = dict(state_dict=tensors)
    if 'blocks.0.norm1.weight' in tensors:
        weights['num_classes'] = len(tensors.get('head.weight', ()))
    vit = timm.create_model(
        model, pretrained=True, pretrained_cfg_overlay=weights, dynamic_img_size=True
    )
    vit.pretrained_cfg.pop('state_dict')
    if getattr(vit, 'cls_token', None) is None:
        raise ValueError('it has no class token')
    mean, std = (
        [255 * value for value in vit.pretrained_cfg[name]] for name in ('mean', 'std')
    )
    side = vit.patch_embed.patch_size[0]
    return _Network(vit, vit.forward_features, vit.num_prefix_tokens, side, mean, std)
