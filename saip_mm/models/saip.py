"""Scale-Aware Image Pretraining: the algorithm."""

import copy
import math

import torch
from mmpretrain.models import BaseSelfSupervisor
from mmpretrain.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import get_ema_multi_avg_fn

from .attention import use_attend
from .encoder import Encoded, Encoder, MaskColor, channels_of
from .matching import attention_divergence
from .recompute import recompute_blocks


@MODELS.register_module()
class SAIP(BaseSelfSupervisor):
    """Scale-Aware Image Pretraining (arXiv 2503.08201).

    A *student* (the paper's image encoder) learns three objectives across scales; a
    *teacher* (the expert encoder) is its moving average and provides the targets. The
    teacher's backbone is the one to use downstream.

    ``backbone`` is the student's, as OpenMMLab tools expect. ``prefix='backbone.'`` on
    a training checkpoint therefore selects the student, while
    ``tools/export_backbone.py`` exports the teacher by default.

    A head that is omitted omits its objective. (Without matching, no loss may reach the
    last blocks, and without reconstruction and search the norm of middle tokens:
    distributed training then needs ``find_unused_parameters=True`` in the config.)

    Args:
        backbone: A backbone with the ``encode`` method of ``SAIPViT``: ``SAIPViT``,
            ``SAIPTinyViT``, ``SAIPCSPNeXt``, or an adapter (docs/extending.md).
        matching: A ``CrossScaleMatchingHead``.
        reconstruction: A ``CrossScaleReconstructionHead``.
        search: A ``CrossScaleSearchHead``.
        distillation: A ``DistillationHead``, with which SAIP becomes SAIP*: its teacher
            is a second one, and frozen.
        loss_weights: Factors of the losses of ``matching``, ``reconstruction`` and
            ``search``, 1 by default. Weighted losses are logged.
        recompute: Keep only the inputs of transformer blocks, in a ViT and in the
            decoders, and compute the blocks again in the backward pass: less memory,
            more time, the same gradients.
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
        self.loss_weights = _complete_weights(loss_weights or {})
        channels, middle_channels = channels_of(self.backbone)
        self.middle_norm = nn.LayerNorm(middle_channels, eps=1e-6)
        self.matching = MODELS.build(matching) if matching else None
        self.reconstruction = MODELS.build(reconstruction) if reconstruction else None
        self.search = MODELS.build(search) if search else None
        self.distillation = MODELS.build(distillation) if distillation else None
        use_attend(self)
        if recompute:
            recompute_blocks(self)

        self._check_channels(channels, middle_channels)
        self.mask_color = None
        if self.reconstruction and not getattr(self.backbone, 'omits_hidden', False):
            self.mask_color = MaskColor(self.backbone.patch_size)
            whole = self.matching or self.search or self.reconstruction.anchor
            norms = [m for m in self.backbone.modules() if isinstance(m, _BatchNorm)]
            if norms and not whole:
                raise ValueError(
                    'reconstruction alone with anchor=False shows only masked images, '
                    f'but the running statistics of {type(self.backbone).__name__} '
                    'need whole ones: set anchor=True'
                )

        encoder = Encoder(self.backbone, self.middle_norm, self.mask_color)
        student = nn.ModuleDict(dict(encoder=encoder))
        if self.matching:
            student['projector'] = self.matching.projector
        self.teacher = copy.deepcopy(student).requires_grad_(False)
        # Not a submodule: its parameters are named `backbone.…` and `middle_norm.…`.
        self.__dict__['student'] = student

    def _check_channels(self, channels: int, middle_channels: int) -> None:
        for name, head, needed in (
            ('matching', self.matching, channels),
            ('reconstruction', self.reconstruction, middle_channels),
            ('search', self.search, middle_channels),
            ('distillation', self.distillation, channels),
        ):
            if head and head.in_channels != needed:
                kind = type(self.backbone).__name__
                raise ValueError(
                    f'{name}.in_channels={head.in_channels}, but {kind} gives it '
                    f'tokens of {needed} channels'
                )

    def loss(self, inputs: dict[str, Tensor], data_samples: None = None) -> dict:
        """Compute the losses of one (micro-)batch.

        No parameter or buffer changes, except the student's running statistics if its
        backbone has batch norms.

        Args:
            inputs: Normalized views. ``globals`` [B, 2, 3, H, W], the anchor first;
                ``locals`` [B, n, 3, h, w]; at this step's scales, [B, 3, …] each, a
                local view ``roi``, the anchor shrunk ``inst``, and the second global
                ``csr``, with ``csr_noise`` [B, …, …]; ``scene`` [B, 3, S, S] and
                ``scene_masks`` [B, 2, …, …], 1 where inst and where roi was pasted.
            data_samples: Not used; part of MMPretrain's interface.

        Returns:
            dict: For each head, its losses: ``loss_csm`` and ``loss_attn``;
            ``loss_csr``; ``loss_css_inst`` and ``loss_css_roi``; those of
            :meth:`DistillationHead.loss`. With matching also
            ``teacher_entropy``, ``matching_kl`` and ``teacher_mean`` of
            :meth:`CrossScaleMatchingHead.loss`, unweighted, and ``feature_std``, the
            spread of the teacher's unit tokens (0: all images alike, 1: in all
            directions).
        """
        taught = self.matching or self.distillation
        until = 'end' if taught else 'middle'
        losses, anchor_token = {}, None
        anchored = self.reconstruction and self.reconstruction.anchor
        encode = self.student['encoder']
        if taught or self.search or anchored:
            heads = self.matching, self.distillation
            globals_ = encode(
                _fold(inputs['globals']),
                until='maps' if self.distillation else until,
                attention=any(head and head.attention for head in heads),
            )
            anchor = globals_.middle_tokens.chunk(2)[0]
            anchor_token = anchor[:, 0]
        if taught or self.search:
            roi = encode(inputs['roi'], until=until, crops=True)
        if taught:
            losses |= self._learn_from_teachers(globals_, roi, inputs)
        if self.reconstruction:
            prediction, mask = self.reconstruct(encode, anchor_token, inputs)
            loss = self.reconstruction.loss(prediction, inputs['csr'], mask)
            losses['loss_csr'] = self.loss_weights['reconstruction'] * loss
        if self.search:
            logits = self.find([anchor, roi.middle_tokens], inputs['scene'])
            loss = self.search.loss(logits, inputs['scene_masks'])
            loss = self.loss_weights['search'] * loss
            losses |= dict(loss_css_inst=loss[0], loss_css_roi=loss[1])
        return losses

    def _learn_from_teachers(
        self, globals_: Encoded, roi: Encoded, inputs: dict
    ) -> dict:
        """Losses of matching and distillation, which see all crops."""
        encode = self.student['encoder']
        locals_ = encode(_fold(inputs['locals']), crops=True)
        inst = encode(inputs['inst'], crops=True)
        tokens = [each.image_token for each in (globals_, locals_, roi, inst)]
        tokens = torch.cat(tokens).unflatten(0, (-1, len(inputs['globals'])))
        losses = self._match(globals_, tokens, inputs) if self.matching else {}
        if head := self.distillation:
            attention = head.attention and globals_.attention is not None
            patches = head.patch_mlp is not None
            views = _fold(inputs['globals'])
            taught = head.teacher(self, views, attention, patches)
            losses |= head.loss(tokens, globals_, taught)
        return losses

    def _match(self, globals_: Encoded, tokens: Tensor, inputs: dict) -> dict:
        with torch.no_grad():
            expert = self.teacher['encoder'](
                _fold(inputs['globals']), attention=self.matching.attention
            )
            target = self.teacher['projector'](expert.image_token)
        logits = self.student['projector'](tokens.flatten(0, 1))
        by_view = (-1, len(inputs['globals']))
        losses = self.matching.loss(
            logits.unflatten(0, by_view), target.unflatten(0, by_view)
        )
        weight = self.loss_weights['matching']
        losses['loss_csm'] = weight * losses['loss_csm']
        losses['feature_std'] = token_spread(expert.image_token)
        if self.matching.attention and globals_.attention is not None:
            loss = attention_divergence(
                globals_.attention, expert.attention, self.matching.center.dtype
            )
            losses['loss_attn'] = weight * loss
        return losses

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
        """Average the teacher's parameters with the student's, and copy buffers.

        Args:
            momentum: Share of the old teacher that is kept.
        """
        teacher, student = self.teacher, self.student
        average = get_ema_multi_avg_fn(momentum)
        average([*teacher.parameters()], [*student.parameters()], None)
        # Averaged batch statistics would long remember those before the first step.
        for old, new in zip(teacher.buffers(), student.buffers(), strict=True):
            old.copy_(new)

    def init_weights(self) -> None:
        super().init_weights()
        self.teacher.load_state_dict(self.student.state_dict())

    def train(self, mode: bool = True) -> 'SAIP':
        super().train(mode)
        self.teacher.eval()
        return self


def _complete_weights(given: dict[str, float]) -> dict[str, float]:
    weights = dict.fromkeys(('matching', 'reconstruction', 'search'), 1.0)
    if unknown := given.keys() - weights.keys():
        raise ValueError(
            f'loss_weights: {", ".join(sorted(unknown))} is not one of '
            f'{", ".join(weights)}'
        )
    weights |= given
    for name, weight in weights.items():
        if not isinstance(weight, int | float) or not 0 <= weight < math.inf:
            raise ValueError(
                f'loss_weights.{name}={weight!r} should be a number of at least 0'
            )
    return weights


def _fold(views: Tensor) -> Tensor:
    """[B, V, 3, h, w] → [V·B, 3, h, w], view by view."""
    return views.transpose(0, 1).flatten(0, 1)


def token_spread(tokens: Tensor) -> Tensor:
    """Root of the summed variances of unit tokens [N, C] over N."""
    unit = nn.functional.normalize(tokens.float(), dim=-1)
    return unit.var(0, correction=0).sum().sqrt()
