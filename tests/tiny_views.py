"""Random views at the sizes of tests/configs/tiny.py."""

import torch


def tiny_views(batch: int = 2) -> dict[str, torch.Tensor]:
    def images(*shape):
        return torch.randn(batch, *shape)

    return dict(
        globals=images(2, 3, 64, 32),
        locals=images(2, 3, 32, 16),
        roi=images(3, 48, 16),
        inst=images(3, 32, 32),
        csr=images(3, 80, 48),
        scene=images(3, 64, 48),
        csr_noise=torch.rand(batch, 4, 2),
        scene_masks=torch.rand(batch, 2, 4, 3) > 0.5,
    )
