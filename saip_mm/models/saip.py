"""Scale-Aware Image Pretraining: the algorithm."""

import copy
import math

import torch
from mmpretrain.models import BaseSelfSupervisor
from mmpretrain.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import get_ema_multi_avg_fn

from .attention import recompute_blocks, use_attend
from .encoder import Encoded, Encoder, MaskColor, channels_of
from .matching import attention_divergence, token_spread

# Losses of the objectives, which ``SAIP.loss_weights`` multiplies.
WEIGHTED = dict(
    matching=('loss_csm', 'loss_attn'),
    reconstruction=('loss_csr',),
    search=('loss_css_inst', 'loss_css_roi'),
)


@MODELS.register_module()
class SAIP(BaseSelfSupervisor):
    """Scale-Aware Image Pretraining (arXiv 2503.08201).

    A *student* (the paper's image encoder) learns three objectives across scales; a
    *teacher* (the expert encoder) is its moving average and provides the targets. The
    teacher's backbone is the one to use downstream.

    ``backbone`` is the student's, as OpenMMLab tools expect: ``prefix='backbone.'`` on
    a training checkpoint selects the student, ``tools/export_backbone.py`` the teacher.

    Omitting a head omits its objective. (Without matching, the last blocks may get no
    gradient; without reconstruction and search, the norm of middle tokens gets none:
    distributed training then needs ``find_unused_parameters=True`` in the config.)

    Args:
        backbone: ``SAIPViT``, ``SAIPTinyViT``, ``SAIPCSPNeXt``, or another one with
            their ``encode`` method (docs/extending.md).
        matching: A ``CrossScaleMatchingHead``.
        reconstruction: A ``CrossScaleReconstructionHead``.
        search: A ``CrossScaleSearchHead``.
        distillation: A ``DistillationHead``, with which SAIP becomes SAIP*; it has
            another teacher, which is frozen.
        loss_weights: Factors of the losses of ``matching``, ``reconstruction`` and
            ``search``, 1 by default. Losses are logged with their factors.
        every_nth: Numbers n for ``reconstruction`` and ``search``, 1 by default: every
            n-th image of a batch, from the first on, is used for that objective (the
            same ones with micro-batches, if n divides their size).
        recompute: Keep only the inputs of transformer blocks, and compute the blocks
            again in the backward pass: less memory, more time, the same gradients.
        data_preprocessor: A ``SAIPDataPreprocessor``.
    """

    def __init__(
        self,
        backbone: dict,
        matching: dict | None = None,
        reconstruction: dict | None = None,
        search: dict | None = None,
        distillation: dict | None = None,
        loss_weights: dict[str, float] | None = None,
        every_nth: dict[str, int] | None = None,
        recompute: bool = False,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            backbone, data_preprocessor=data_preprocessor, init_cfg=init_cfg
        )
        if not (matching or reconstruction or search or distillation):
            raise ValueError(
                'SAIP needs a head: matching, reconstruction, search or distillation'
            )
        self.loss_weights = dict.fromkeys(WEIGHTED, 1.0) | (loss_weights or {})
        self.every_nth = dict(reconstruction=1, search=1) | (every_nth or {})
        self._check_numbers()
        channels, middle_channels = channels_of(self.backbone)
        self.middle_norm = nn.LayerNorm(middle_channels, eps=1e-6)
        self.matching = MODELS.build(matching) if matching else None
        self.reconstruction = MODELS.build(reconstruction) if reconstruction else None
        self.search = MODELS.build(search) if search else None
        self.distillation = MODELS.build(distillation) if distillation else None
        self.mask_color = None
        if self.reconstruction and not getattr(self.backbone, 'omits_hidden', False):
            self.mask_color = MaskColor(self.backbone.patch_size)
        self._check_heads(channels, middle_channels)
        use_attend(self)
        if recompute:
            recompute_blocks(self)

        encoder = Encoder(self.backbone, self.middle_norm, self.mask_color)
        student = nn.ModuleDict(dict(encoder=encoder))
        if self.matching:
            student['projector'] = self.matching.projector
        self.teacher = copy.deepcopy(student).requires_grad_(False)
        # Not a submodule: its parameters are named `backbone.…` and `middle_norm.…`.
        self.__dict__['student'] = student

    def _check_numbers(self) -> None:
        for name, weight in self.loss_weights.items():
            number = isinstance(weight, int | float) and 0 <= weight < math.inf
            if name not in WEIGHTED or not number:
                raise ValueError(
                    f'loss_weights.{name}={weight!r}: give numbers of at least 0 for '
                    f'{", ".join(WEIGHTED)}'
                )
        numbers = self.every_nth.values()
        if len(numbers) > 2 or any(not isinstance(n, int) or n < 1 for n in numbers):
            raise ValueError(
                f'every_nth={self.every_nth}: give whole numbers of at least 1 for '
                'reconstruction and search'
            )

    def _check_heads(self, channels: int, middle_channels: int) -> None:
        kind = type(self.backbone).__name__
        for name, needed in dict(
            matching=channels,
            reconstruction=middle_channels,
            search=middle_channels,
            distillation=channels,
        ).items():
            head = getattr(self, name)
            if head and head.in_channels != needed:
                raise ValueError(
                    f'{name}.in_channels={head.in_channels}, but {kind} gives it '
                    f'tokens of {needed} channels'
                )
        if not self.mask_color or self.matching or self.search or self.distillation:
            return
        norms = any(isinstance(each, _BatchNorm) for each in self.backbone.modules())
        if norms and not self.reconstruction.anchor:
            raise ValueError(
                f'running statistics of {kind} need whole images, but reconstruction '
                'alone shows it masked ones: set reconstruction.anchor=True'
            )

    def loss(self, inputs: dict[str, Tensor], data_samples: None = None) -> dict:
        """Compute the losses of one (micro-)batch.

        No parameter or buffer changes, except the student's running statistics if its
        backbone has batch norms.

        Args:
            inputs: Normalized views. ``globals`` [B, 2, 3, H, W], the anchor first;
                ``locals`` [B, n, 3, h, w]; rescaled, [B, 3, …] each, ``roi`` (a local
                view), ``inst`` (the shrunk anchor) and ``csr`` (the second global
                view), with ``csr_noise`` [B, …, …]; ``scene`` [B, 3, S, T]; and
                ``scene_masks`` [B, 2, …, …], 1 where ``inst`` or ``roi`` was pasted.

        Returns:
            dict: Losses of the heads, named as in ``WEIGHTED`` and
            :meth:`DistillationHead.loss`. With matching, also the other outputs of
            :meth:`CrossScaleMatchingHead.loss`, and ``feature_std``, the spread of the
            teacher's unit tokens (0: all images alike, 1: in all directions).
        """
        globals_, roi, tokens = self._encode_views(inputs)
        anchor = globals_.middle_tokens.chunk(2)[0] if globals_ else None
        losses = {}
        if self.matching:
            losses |= self._match(globals_, tokens, inputs)
        if self.distillation:
            losses |= self._distill(globals_, tokens, inputs)
        if self.reconstruction:
            n = self.every_nth['reconstruction']
            token = anchor[::n, 0] if globals_ else None
            views = {name: inputs[name][::n] for name in ('csr', 'csr_noise')}
            prediction, mask = self.reconstruct(self.student['encoder'], token, views)
            loss = self.reconstruction.loss(prediction, views['csr'], mask)
            losses['loss_csr'] = loss
        if self.search:
            n = self.every_nth['search']
            queries = [anchor[::n], roi.middle_tokens[::n]]
            logits = self.find(queries, inputs['scene'][::n])
            found = self.search.loss(logits, inputs['scene_masks'][::n])
            losses |= dict(zip(WEIGHTED['search'], found, strict=True))
        for objective, names in WEIGHTED.items():
            for name in names:
                if name in losses:
                    losses[name] = self.loss_weights[objective] * losses[name]
        return losses

    def _encode_views(
        self, inputs: dict[str, Tensor]
    ) -> tuple[Encoded | None, Encoded | None, Tensor | None]:
        """Show the student the views that the heads need, except ``csr``.

        Returns:
            The 2·B global views, the B views ``roi``, and image tokens [V, B, C] of all
            V crops of each image.
        """
        student = self.student['encoder']
        taught = [head for head in (self.matching, self.distillation) if head]
        anchored = self.reconstruction and self.reconstruction.anchor
        until = 'end' if taught else 'middle'
        globals_ = roi = tokens = None
        if taught or self.search or anchored:
            globals_ = student(
                _fold(inputs['globals']),
                until='maps' if self.distillation else until,
                attention=any(head.attention for head in taught),
            )
        if taught or self.search:
            roi = student(inputs['roi'], until=until, crops=True)
        if taught:
            locals_ = student(_fold(inputs['locals']), crops=True)
            inst = student(inputs['inst'], crops=True)
            crops = [globals_, locals_, roi, inst]
            tokens = torch.cat([crop.image_token for crop in crops])
            tokens = tokens.unflatten(0, (-1, len(inputs['globals'])))
        return globals_, roi, tokens

    def _match(self, globals_: Encoded, tokens: Tensor, inputs: dict) -> dict:
        """Losses of matching, for image tokens [V, B, C] of all crops."""
        with torch.no_grad():
            expert = self.teacher['encoder'](
                _fold(inputs['globals']), attention=self.matching.attention
            )
            target = self.teacher['projector'](expert.image_token)
        logits = self.student['projector'](tokens.flatten(0, 1))
        by_view = (-1, tokens.shape[1])
        losses = self.matching.loss(
            logits.unflatten(0, by_view), target.unflatten(0, by_view)
        )
        losses['feature_std'] = token_spread(expert.image_token)
        if self.matching.attention and globals_.attention is not None:
            losses['loss_attn'] = attention_divergence(
                globals_.attention, expert.attention, self.matching.center.dtype
            )
        return losses

    def _distill(self, globals_: Encoded, tokens: Tensor, inputs: dict) -> dict:
        """Losses of distillation, for image tokens [V, B, C] of all crops."""
        head = self.distillation
        attention = head.attention and globals_.attention is not None
        patches = head.patch_mlp is not None
        taught = head.teacher(self, _fold(inputs['globals']), attention, patches)
        return head.loss(tokens, globals_, taught)

    def reconstruct(
        self, encoder: Encoder, anchor_token: Tensor | None, inputs: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Mask the view ``csr`` and predict it.

        Args:
            encoder: Student or teacher.
            anchor_token: [B, C] middle class token of the anchor view; not used by a
                head with ``anchor=False``.
            inputs: As in :meth:`loss`; ``csr`` and ``csr_noise`` are used.

        Returns:
            Normalized patches [B, h·w, 3·p²], and the mask [B, h, w], 1 where a patch
            is removed.
        """
        csr = inputs['csr']
        grid = tuple(side // self.reconstruction.patch_size for side in csr.shape[2:])
        visible, mask = self.reconstruction.draw_mask(inputs['csr_noise'], grid)
        masked = encoder(csr, visible, until='middle')
        prediction = self.reconstruction(
            anchor_token, masked.middle_token, masked.middle_map, mask
        )
        return prediction, mask

    def find(self, queries: list[Tensor], scenes: Tensor) -> Tensor:
        """Search scenes [B, 3, S, T] for Q queries, middle tokens [B, 1 + n, C] each.

        Returns:
            Tensor: [B, Q, h, w] logits of the queries' places.
        """
        with torch.no_grad():
            scene = self.teacher['encoder'](scenes, until='middle')
        return self.search(queries, scene.middle_map)

    @torch.no_grad()
    def update_teacher(self, momentum: float) -> None:
        """Average parameters, the teacher's with weight ``momentum``; copy buffers."""
        teacher, student = self.teacher, self.student
        average = get_ema_multi_avg_fn(momentum)
        average([*teacher.parameters()], [*student.parameters()], None)
        # Averages would retain statistics from before the first step for too long.
        for old, new in zip(teacher.buffers(), student.buffers(), strict=True):
            old.copy_(new)

    def init_weights(self) -> None:
        super().init_weights()
        self.teacher.load_state_dict(self.student.state_dict())

    def train(self, mode: bool = True) -> 'SAIP':
        super().train(mode)
        self.teacher.eval()
        return self


def _fold(views: Tensor) -> Tensor:
    """[B, V, 3, h, w] → [V·B, 3, h, w], view by view."""
    return views.transpose(0, 1).flatten(0, 1)
