"""detection_saip-small.py with a ViT-Tiny, for comparison with Faster R-CNN."""

_base_ = '../detection_saip-small.py'

model = dict(
    backbone=dict(arch='deit-tiny', init_cfg=dict(checkpoint='saip-vit-tiny')),
    neck=[
        dict(_base_.model.neck[0], in_channels=192),
        dict(_base_.model.neck[1], in_channels=[192, 192, 192]),
    ],
)
