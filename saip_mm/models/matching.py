"""Cross-scale matching: one person at many scales, one representation."""

import math

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from mmengine.model import BaseModule, initialize
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from .encoder import AttentionMaps
from .weights import XAVIER


class Projector(BaseModule):
    """Image token → MLP of two hidden layers → unit sphere → cosine with prototypes.

    Arguments are those of :class:`CrossScaleMatchingHead`.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        bottleneck_channels: int,
        out_channels: int,
    ) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(in_channels, hidden_channels),
            nn.GELU(),
            nn.Linear(hidden_channels, hidden_channels),
            nn.GELU(),
            nn.Linear(hidden_channels, bottleneck_channels),
        )
        self.prototypes = nn.Parameter(torch.zeros(out_channels, bottleneck_channels))

    def init_weights(self) -> None:
        initialize(self, XAVIER)
        # Initialized like torch's linear layers: only directions matter, but the norm
        # determines how fast they change.
        nn.init.kaiming_uniform_(self.prototypes, a=math.sqrt(5))

    def forward(self, tokens: Tensor) -> Tensor:
        """[N, C] image tokens → [N, out_channels] logits."""
        # A weight-normalized linear layer with gain 1. Its kernel passes over the
        # prototypes half as often as F.normalize.
        gain = self.prototypes.new_ones(len(self.prototypes), 1)
        prototypes = torch._weight_norm(self.prototypes, gain, 0)
        return F.linear(F.normalize(self.mlp(tokens), dim=-1), prototypes)


def token_spread(tokens: Tensor) -> Tensor:
    """Root of the summed variances of unit tokens [N, C] over N."""
    unit = F.normalize(tokens.float(), dim=-1)
    return unit.var(0, correction=0).sum().sqrt()


def attention_divergence(
    student: AttentionMaps, teacher: AttentionMaps, dtype: torch.dtype
) -> Tensor:
    """KL(teacher ‖ student) of both attention maps [B, heads, N, N], summed over keys,
    averaged over images, heads and queries, computed in ``dtype``."""
    eps = 1e-10
    loss = 0.0
    for ours, target in zip(student, teacher, strict=True):
        ours, target = (x.to(dtype) + eps for x in (ours, target))
        loss += (target * (target.log() - ours.log())).sum(-1).mean()
    return loss


class _CrossEntropy(torch.autograd.Function):
    """Sum of the cross entropies of all images and pairs of different views.

    Holds the probabilities of one student view at a time, and saves none for the
    backward pass: with 65,536 outputs they are among the largest tensors of a step.
    """

    @staticmethod
    def forward(ctx, student: Tensor, target: Tensor, temperature: float) -> Tensor:
        """[V, B, K] logits, [T, B, K] probabilities of the first T of these views."""
        ctx.save_for_backward(student, target)
        ctx.temperature = temperature
        total = target.new_zeros(())
        for view, logits in enumerate(student):
            log_student = (logits.to(target.dtype) / temperature).log_softmax(-1)
            total -= (sum(_others(target, view)) * log_student).sum()
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        student, target = ctx.saved_tensors
        result, factor = torch.empty_like(student), gradient / ctx.temperature
        for view, logits in enumerate(student):
            others = _others(target, view)
            guess = (logits.to(target.dtype) / ctx.temperature).softmax(-1)
            result[view] = (guess * len(others)).sub_(sum(others)).mul_(factor)
        return result, None, None


def _others(target: Tensor, view: int) -> list[Tensor]:
    """Targets [T, B, K] except the view's own, if the teacher has seen the view."""
    return [each for number, each in enumerate(target) if number != view]


@MODELS.register_module()
class CrossScaleMatchingHead(BaseModule):
    """Student views must predict the teacher's view of the same image.

    The teacher's logits are centered and sharpened as in DINO (arXiv 2104.14294). The
    last block's attention is also matched, between both models on the same view.

    Args:
        in_channels: Channels of the image token.
        hidden_channels: Width of the projector's hidden layers.
        bottleneck_channels: Channels on the unit sphere.
        out_channels: Number of prototypes.
        student_temperature: Softmax temperature of the student.
        teacher_temperature: Softmax temperature of the teacher.
        center_momentum: Momentum of the center of the teacher's logits, for the global
            batch ``SAIPHook.base_batch_size``.
        attention: Whether to match attention. The objective without it is DINO's.
    """

    def __init__(
        self,
        in_channels: int = 192,
        hidden_channels: int = 2048,
        bottleneck_channels: int = 256,
        out_channels: int = 65536,
        student_temperature: float = 0.1,
        teacher_temperature: float = 0.04,
        center_momentum: float = 0.9,
        attention: bool = True,
    ) -> None:
        super().__init__()
        self.attention = attention
        self.in_channels = in_channels
        self.projector = Projector(
            in_channels, hidden_channels, bottleneck_channels, out_channels
        )
        self.student_temperature = student_temperature
        self.teacher_temperature = teacher_temperature
        self.center_momentum = center_momentum
        self.register_buffer('center', torch.zeros(1, out_channels))

    def loss(self, student: Tensor, teacher: Tensor) -> dict[str, Tensor]:
        """Cross entropy over all pairs of different views.

        Args:
            student: [V, B, K] logits; the first T views are the teacher's.
            teacher: [T, B, K] logits, without gradient.

        Returns:
            ``loss_csm``; for monitoring, ``teacher_entropy`` in nats (log K if the
            teacher prefers no prototype, 0 if it is certain) and ``matching_kl``, the
            KL divergence (cross entropy minus entropy); ``teacher_mean`` [K], the mean
            of the teacher's logits, for :meth:`update_center`.
        """
        # Under autocast logits arrive in half precision, which is too coarse here.
        dtype = self.center.dtype
        teacher = teacher.to(dtype)
        target = ((teacher - self.center) / self.teacher_temperature).softmax(-1)
        cross_entropy = _CrossEntropy.apply(student, target, self.student_temperature)
        pairs = len(teacher) * (len(student) - 1)
        loss = cross_entropy / (pairs * teacher.shape[1])
        entropy = torch.special.entr(target).sum(-1).mean()
        return dict(
            loss_csm=loss,
            teacher_entropy=entropy,
            matching_kl=loss.detach() - entropy,
            teacher_mean=teacher.mean(dim=(0, 1)),
        )

    @torch.no_grad()
    def update_center(self, teacher_mean: Tensor, batch_ratio: float = 1.0) -> None:
        """Move the center towards the mean of the teacher's logits.

        Args:
            teacher_mean: [K], of this process; averaged over all processes here.
            batch_ratio: Global batch relative to the one that the momentum is for.
        """
        mean = teacher_mean.clone()
        all_reduce(mean, 'mean')
        self.center.lerp_(mean[None], 1 - self.center_momentum**batch_ratio)
