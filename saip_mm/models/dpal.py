"""DPAL: dynamic pattern alignment of a light student with a frozen teacher."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from mmengine.logging import MessageHub
from mmengine.model import BaseModule, initialize
from mmengine.model.weight_init import trunc_normal_
from mmpretrain.models import BaseSelfSupervisor
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from .attention import transformer_blocks, use_attend
from .distillation import check_channels, patch_targets
from .encoder import batch_statistics
from .matching import token_spread
from .search import CrossAttentionBlock
from .weights import XAVIER

PATTERNS = ('global', 'local', 'relation')


@MODELS.register_module()
class PatternAdapter(BaseModule):
    """Maps the student's tokens to the teacher's channels, by a matrix per image.

    Three experts, one for each of ``PATTERNS``, propose matrices; a gate mixes them.

    Args:
        in_channels: Channels d of the student.
        out_channels: Channels D of the teacher.
        num_heads: Attention heads.
        hidden_channels: Width of the MLP that makes the matrices.
        divisor: Divides the matrices.
    """

    def __init__(
        self,
        in_channels: int = 192,
        out_channels: int = 768,
        num_heads: int = 6,
        hidden_channels: int = 192,
        divisor: float = 256.0,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.divisor = divisor
        self.gate_token = nn.Parameter(torch.zeros(1, 1, in_channels))
        self.gate_block = CrossAttentionBlock(in_channels, num_heads)
        self.gate = nn.Linear(in_channels, len(PATTERNS))
        self.expert_tokens = nn.Parameter(torch.zeros(1, len(PATTERNS), in_channels))
        (self.expert_self_block,) = transformer_blocks(1, in_channels, num_heads)
        self.expert_block = CrossAttentionBlock(in_channels, num_heads)
        self.hidden = nn.Linear(in_channels, hidden_channels)
        self.matrix = nn.Linear(hidden_channels, in_channels * out_channels)
        self.norm = nn.LayerNorm(out_channels, eps=1e-6)

    def init_weights(self) -> None:
        initialize(self, XAVIER)
        trunc_normal_(self.gate_token, std=0.02)
        trunc_normal_(self.expert_tokens, std=0.02)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map tokens [B, N, d] of one pattern.

        Returns:
            Tokens [B, N, D], logits of the patterns [B, 3], and the squared Frobenius
            norm of the matrices, mean over images.
        """
        batch = len(tokens)
        query = self.gate_block(self.gate_token.expand(batch, -1, -1), tokens)
        gate = self.gate(query)[:, 0]
        experts = self.expert_self_block(self.expert_tokens.expand(batch, -1, -1))
        hidden = F.gelu(self.hidden(self.expert_block(experts, tokens)))
        # The last layer is linear and the gate sums to one: mixing before it gives the
        # mixture of its three outputs.
        mixed = (gate.softmax(-1)[:, None] @ hidden)[:, 0]
        matrix = self.matrix(mixed).unflatten(1, (self.in_channels, -1)) / self.divisor
        adapted = self.norm(F.gelu(tokens @ matrix))
        dtype = self.norm.weight.dtype
        norm = matrix.to(dtype).square().sum((1, 2)).mean()
        return adapted, gate.to(dtype), norm


@MODELS.register_module()
class DPAL(BaseSelfSupervisor):
    """Dynamic pattern alignment learning (arXiv 2508.07144).

    The student follows a frozen teacher in three patterns: class tokens of a person and
    of local crops (global), patch tokens of the person (local), and the similarity of
    all patches in a scene with two crops pasted into it (relation). Views are those of
    ``DrawViews``: the first global view, all local views and ``roi``, and the scene.

    Written from the paper's description. Our own choices: the gate and the experts
    attend to the tokens that are mapped; losses are means over patterns, crops, tokens
    and channels; and the sign of the principal component, see :func:`person_mask`.

    Args:
        backbone: A backbone for SAIP.
        teacher: A ``DistillationTeacher``.
        adapter: A ``PatternAdapter``.
        gate_weights: Factors of the gate's cross entropy, in the first ``gate_epochs``
            and after them.
        gate_epochs: Number of epochs.
        norm_weight: Factor of the squared norm of the adapter's matrices.
        data_preprocessor: A ``SAIPDataPreprocessor`` with ``scales=(1.0,)``.
    """

    def __init__(
        self,
        backbone: dict,
        teacher: dict,
        adapter: dict,
        gate_weights: tuple[float, float] = (0.1, 0.01),
        gate_epochs: int = 20,
        norm_weight: float = 0.025,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            backbone, data_preprocessor=data_preprocessor, init_cfg=init_cfg
        )
        self.teacher = MODELS.build(teacher)  # not a module
        self.adapter = MODELS.build(adapter)
        self.gate_weights, self.gate_epochs = gate_weights, gate_epochs
        self.norm_weight = norm_weight
        channels = self.backbone.embed_dims
        if self.adapter.in_channels != channels:
            raise ValueError(
                f'adapter.in_channels={self.adapter.in_channels}, but the tokens of '
                f'{type(self.backbone).__name__} have {channels} channels'
            )
        use_attend(self)

    def loss(self, inputs: dict[str, Tensor], data_samples: None = None) -> dict:
        """Compute the losses of one (micro-)batch.

        Args:
            inputs: Normalized views. The first of ``globals`` [B, 2, 3, H, W],
                ``locals`` [B, n, 3, h, w], ``roi`` [B, 3, h, w] and ``scene``
                [B, 3, S, T] are used.

        Returns:
            dict: ``loss_global``, ``loss_local``, ``loss_relation``, ``loss_gate`` and
            ``loss_norm``; for monitoring, ``feature_std``, the spread of the student's
            unit class tokens.
        """
        person, scene = inputs['globals'][:, 0], inputs['scene']
        crops = torch.cat([inputs['locals'], inputs['roi'][:, None]], dim=1)
        taught, taught_scene = self.teacher(self, person), self.teacher(self, scene)
        check_channels(taught, self.adapter.out_channels, 'model.adapter')

        whole = self.backbone.encode(person, until='maps')
        with batch_statistics(self.backbone):
            parts = self.backbone.encode(crops.transpose(0, 1).flatten(0, 1))
            scenes = self.backbone.encode(scene, until='maps').last_map
        features = (
            torch.cat([whole.image_token, parts.image_token])[:, None],
            whole.last_map.flatten(2).mT,
            scenes.flatten(2).mT,
        )
        mapped, gates, norms = zip(*map(self.adapter, features), strict=True)
        target = patch_targets(taught, whole.last_map)
        with torch.autocast(person.device.type, enabled=False):
            tokens, patches, related = (each.to(target) for each in mapped)
            classes = tokens.unflatten(0, (-1, len(person)))[:, :, 0]
            mask = person_mask(target, whole.last_map.shape[2:])
            loss_local = (mask[..., None] * (patches - target).square()).mean()
            loss_relation = relation_divergence(
                related, patch_targets(taught_scene, scenes)
            )
        epoch = MessageHub.get_current_instance().get_info('epoch', 0)
        gate_weight = self.gate_weights[epoch >= self.gate_epochs]
        return dict(
            loss_global=(classes - taught.image_token).square().mean(),
            loss_local=loss_local,
            loss_relation=loss_relation,
            loss_gate=gate_weight * gate_loss(gates),
            loss_norm=self.norm_weight * sum(norms) / len(norms),
            feature_std=token_spread(whole.image_token.detach()),
        )


def gate_loss(gates: Sequence[Tensor]) -> Tensor:
    """Cross entropy of logits [N, 3] for each of ``PATTERNS``, mean over patterns."""
    losses = [-gate.log_softmax(-1)[:, i].mean() for i, gate in enumerate(gates)]
    return sum(losses) / len(losses)


def relation_divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher ‖ student) of softmax(F·Fᵀ / √D) for tokens F, [B, N, D] each, summed
    over keys, averaged over images and queries."""
    ours, theirs = (
        (each @ each.mT * each.shape[2] ** -0.5).log_softmax(-1)
        for each in (student, teacher)
    )
    return (theirs.exp() * (theirs - ours)).sum(-1).mean()


def person_mask(patches: Tensor, grid: tuple[int, int]) -> Tensor:
    """How much patches [B, h·w, D] belong to a person: their first principal component.

    Computed over the micro-batches of all processes and scaled to [0, 1], with the sign
    that gives the middle of the images higher values than their border. To stay on the
    device, the covariance is squared ten times: a power iteration of 1,024 steps.

    Returns:
        [B, h·w]
    """
    centered = patches.flatten(0, 1)
    centered = centered - _all_processes(centered.mean(0), 'mean')
    power = _all_processes(centered.T @ centered, 'sum')
    tiny = torch.finfo(power.dtype).tiny  # if all patches are alike
    for _ in range(10):
        power = power / power.norm().clamp_min(tiny)
        power = power @ power
    # All columns are parallel to the component. Indexing would wait for the device.
    longest = power.diagonal().argmax().view(1)
    score = (centered @ power.index_select(1, longest)).view(-1, *grid)
    top, left = (side // 4 for side in grid)
    middle = score[:, top : grid[0] - top, left : grid[1] - left].mean()
    score = torch.where(_all_processes(middle, 'mean') < 0, -score, score)
    low, high = _all_processes(score.min(), 'min'), _all_processes(score.max(), 'max')
    return ((score - low) / (high - low).clamp_min(tiny)).flatten(1)


def _all_processes(value: Tensor, operation: str) -> Tensor:
    all_reduce(value, operation)
    return value
