"""What a config has to know of a checkpoint."""

from dataclasses import dataclass

from mmpretrain.models.backbones import VisionTransformer

from ...checkpoints.backbone import read_backbone


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
    backbone = read_backbone(checkpoint)
    arch = backbone.arch
    zoo = VisionTransformer.arch_zoo
    names = [name for name in ('deit-tiny', *zoo) if arch.items() == zoo[name].items()]
    return Weights(
        checkpoint=str(checkpoint),
        prefix=backbone.prefix,
        arch=names[0] if names else arch,
        channels=arch['embed_dims'],
        num_layers=arch['num_layers'],
        patch_size=backbone.patch_size,
        mean=backbone.mean,
        std=backbone.std,
    )
