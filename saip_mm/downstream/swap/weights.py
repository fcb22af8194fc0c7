"""What a config has to know of a checkpoint."""

from dataclasses import dataclass

from mmpretrain.models.backbones import VisionTransformer

from ...checkpoints.backbone import PREFIXES, architecture_of, choose_backbone, colours
from ...checkpoints.checkpoint import fit_backbone, read_checkpoint, resolve_checkpoint
from ...checkpoints.convert import state_dict_of


@dataclass(frozen=True)
class Weights:
    """A checkpoint and the backbone in it.

    Attributes:
        checkpoint: Its path, as the config names it.
        prefix: Where the backbone is in it.
        arch: ``arch`` of SAIPViT.
        channels: Channels of the backbone.
        num_layers: Its blocks.
        patch_size: Side of a patch, in pixels.
        mean: Of the images that it was trained on, RGB, 0-255.
        std: The same.
    """

    checkpoint: str
    prefix: str
    arch: str | dict
    channels: int
    num_layers: int
    patch_size: int
    mean: list[float]
    std: list[float]


def read_weights(checkpoint: str) -> Weights:
    """Read what a config has to know.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If it cannot be read safely, or holds no ViT with a patch grid.
    """
    path = resolve_checkpoint(checkpoint)
    content = read_checkpoint(path)
    try:
        backbone, role = choose_backbone(content)
        normalization = colours(content, backbone)
        backbone, _ = fit_backbone(backbone)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    arch = architecture_of(backbone)
    zoo = VisionTransformer.arch_zoo
    names = [name for name in ('deit-tiny', *zoo) if arch.items() == zoo[name].items()]
    training = any(n.startswith(PREFIXES['teacher']) for n in state_dict_of(content))
    return Weights(
        checkpoint=str(checkpoint),
        prefix=PREFIXES[role] if training else '',
        arch=names[0] if names else arch,
        channels=arch['embed_dims'],
        num_layers=arch['num_layers'],
        patch_size=backbone.patch_size,
        **normalization,
    )
