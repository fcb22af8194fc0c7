"""Scale-Aware Image Pretraining: the algorithm."""

import copy

import torch
from mmpretrain.models import BaseSelfSupervisor
from mmpretrain.registry import MODELS
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from .encoder import Encoded, Encoder


@MODELS.register_module()
class SAIP(BaseSelfSupervisor):
    """Scale-Aware Image Pretraining (arXiv 2503.08201).

    A *student* (the paper's image encoder) learns from three objectives across scales;
    a *teacher* (the expert encoder) is its moving average and gives the targets. It is
    the teacher's backbone that is meant for downstream tasks.

    ``backbone`` is the student's, as OpenMMLab tools expect; ``prefix='backbone.'`` on
    a training checkpoint therefore takes the student, while
    ``tools/export_backbone.py`` takes the teacher unless told otherwise.

    Leaving out a head leaves out its objective. (Without matching, nothing trains the
    last blocks, so several processes need ``find_unused_parameters=True``.)

    Args:
        backbone: A backbone with the ``encode`` method of ``SAIPViT``.
        matching: A ``CrossScaleMatchingHead``.
        reconstruction: A ``CrossScaleReconstructionHead``.
        search: A ``CrossScaleSearchHead``.
        data_preprocessor: A ``SAIPDataPreprocessor``.
        init_cfg: Initialisation, see :class:`mmengine.model.BaseModule`.
    """

    def __init__(
        self,
        backbone: dict,
        matching: dict | None = None,
        reconstruction: dict | None = None,
        search: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            backbone, data_preprocessor=data_preprocessor, init_cfg=init_cfg
        )
        if not (matching or reconstruction or search):
            raise ValueError('SAIP needs a matching, reconstruction or search head')
        self.middle_norm = nn.LayerNorm(self.backbone.embed_dims, eps=1e-6)
        self.matching = MODELS.build(matching) if matching else None
        self.reconstruction = MODELS.build(reconstruction) if reconstruction else None
        self.search = MODELS.build(search) if search else None

        self.teacher = nn.ModuleDict(dict(encoder=copy.deepcopy(self.student)))
        if self.matching:
            self.teacher['projector'] = copy.deepcopy(self.matching.projector)
        self.teacher.requires_grad_(False)

    @property
    def student(self) -> Encoder:
        """The student's encoder."""
        return Encoder(self.backbone, self.middle_norm)

    def loss(self, inputs: dict[str, Tensor], data_samples: None = None) -> dict:
        """Losses of one (micro-)batch; changes no parameter and no buffer.

        Args:
            inputs: Normalised views. ``globals`` [B, 2, 3, H, W] and ``locals``
                [B, n, 3, h, w]; ``roi``, ``inst`` and ``csr`` [B, 3, …] at this step's
                scales; ``csr_noise`` [B, …, …]; ``scene`` [B, 3, S, S] and
                ``scene_masks`` [B, 2, …, …], 1 where inst and where roi was pasted.
            data_samples: Not used; part of MMPretrain's interface.

        Returns:
            dict: Of the objectives that have a head, ``loss_csm`` with ``loss_attn``,
            ``teacher_entropy`` and ``feature_std``, the spread of the teacher's unit
            tokens (0: all images alike, 1: in all directions); ``loss_csr``;
            ``loss_css_inst`` and ``loss_css_roi``.
        """
        until = 'end' if self.matching else 'middle'
        globals_ = self.student(
            _fold(inputs['globals']), until=until, attention=self.matching is not None
        )
        anchor = globals_.middle_tokens.chunk(2)[0]
        losses = {}
        if self.matching or self.search:
            roi = self.student(inputs['roi'], until=until)
        if self.matching:
            losses |= self._match(globals_, roi, inputs)
        if self.reconstruction:
            losses |= self._reconstruct(anchor[:, 0], inputs)
        if self.search:
            losses |= self._search([anchor, roi.middle_tokens], inputs)
        return losses

    def _match(self, globals_: Encoded, roi: Encoded, inputs: dict) -> dict:
        with torch.no_grad():
            expert = self.teacher['encoder'](_fold(inputs['globals']), attention=True)
            target = self.teacher['projector'](expert.image_token)
        locals_ = self.student(_fold(inputs['locals']))
        inst = self.student(inputs['inst'])
        tokens = [each.image_token for each in (globals_, locals_, roi, inst)]
        logits = self.matching.projector(torch.cat(tokens))
        by_view = (-1, len(inputs['globals']))
        logits, target = logits.unflatten(0, by_view), target.unflatten(0, by_view)
        if self.training:
            self.matching.see(target)
        losses = self.matching.loss(logits, target)
        losses['feature_std'] = _spread(expert.image_token)
        if globals_.attention is not None:
            losses['loss_attn'] = self.matching.attention_loss(
                globals_.attention, expert.attention
            )
        return losses

    def _reconstruct(self, anchor_token: Tensor, inputs: dict) -> dict:
        prediction, mask = self.reconstruct(self.student, anchor_token, inputs)
        loss = self.reconstruction.loss(prediction, inputs['csr'], mask)
        return dict(loss_csr=loss)

    def reconstruct(
        self, encoder: Encoder, anchor_token: Tensor, inputs: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Mask the view ``csr`` and predict it.

        Args:
            encoder: Student or teacher.
            anchor_token: [B, C] middle class token of the anchor view.
            inputs: As in :meth:`loss`; ``csr`` and ``csr_noise`` are used.

        Returns:
            Normalised patches [B, h·w, 3·p²], and the mask [B, h, w] in which 1 is a
            removed patch.
        """
        csr = inputs['csr']
        grid = tuple(side // self.reconstruction.patch_size for side in csr.shape[2:])
        visible, mask = self.reconstruction.draw_mask(inputs['csr_noise'], grid)
        masked = encoder(csr, visible, until='middle')
        prediction = self.reconstruction(
            anchor_token, masked.middle_token, masked.middle_map, mask
        )
        return prediction, mask

    def _search(self, queries: list[Tensor], inputs: dict) -> dict:
        found = self.find(queries, inputs['scene'])
        inst, roi = self.search.loss(found, inputs['scene_masks'])
        return dict(loss_css_inst=inst, loss_css_roi=roi)

    def find(self, queries: list[Tensor], scenes: Tensor) -> Tensor:
        """Search scenes [B, 3, S, T] for Q queries, middle tokens [B, 1 + n, C] each.

        Returns:
            Tensor: [B, Q, h, w] logits of the queries' places.
        """
        with torch.no_grad():
            scene = self.teacher['encoder'](scenes, until='middle')
        return self.search(queries, scene.middle_map)

    def after_step(self, momentum: float, batch_ratio: float = 1.0) -> None:
        """Let the teacher and the center follow, once the optimizer really stepped.

        Args:
            momentum: Share of the old teacher that stays.
            batch_ratio: Global batch relative to that which the center's momentum is
                for.
        """
        average, current = zip(*self._averaged(), strict=True)
        get_ema_multi_avg_fn(momentum)(list(average), list(current), None)
        if self.matching:
            self.matching.update_center(batch_ratio)

    def forget_step(self) -> None:
        """Drop what the step left behind, whether or not the optimizer stepped."""
        if self.matching:
            self.matching.forget()

    def init_weights(self) -> None:
        super().init_weights()
        for average, current in self._averaged():
            average.data.copy_(current.data)

    def train(self, mode: bool = True) -> 'SAIP':
        super().train(mode)
        self.teacher.eval()
        return self

    def _averaged(self) -> list[tuple[nn.Parameter, nn.Parameter]]:
        """Pairs of teacher and student parameters."""
        pairs = [(self.teacher['encoder'], self.student)]
        if self.matching:
            pairs.append((self.teacher['projector'], self.matching.projector))
        return [
            pair
            for teacher, student in pairs
            for pair in zip(teacher.parameters(), student.parameters(), strict=True)
        ]


def _fold(views: Tensor) -> Tensor:
    """[B, V, 3, h, w] → [V·B, 3, h, w], view by view."""
    return views.transpose(0, 1).flatten(0, 1)


def _spread(tokens: Tensor) -> Tensor:
    """Root of the summed variances of unit tokens [N, C] over N."""
    unit = nn.functional.normalize(tokens.float(), dim=-1)
    return unit.var(0, correction=0).sum().sqrt()
