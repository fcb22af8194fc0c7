"""The setting of parsing_saip-small.py with a ViT-Tiny and UPerNet.

It serves for comparison with segformer_saip-vit-tiny.py.
"""

_base_ = '../parsing_saip-small.py'

channels = [96, 192, 192, 192]
group_norm = dict(type='GN', num_groups=32)
model = dict(
    backbone=dict(arch='deit-tiny', init_cfg=dict(checkpoint='saip-vit-tiny')),
    neck=dict(
        _delete_=True, type='mmpretrain.ViTPyramid', in_channels=192, in_stride=8
    ),
    decode_head=dict(
        _delete_=True,
        type='UPerHead',
        in_channels=channels,
        in_index=[0, 1, 2, 3],
        pool_scales=(1, 2, 3, 6),
        channels=256,
        dropout_ratio=0.1,
        num_classes=_base_.num_classes,
        norm_cfg=group_norm,
    ),
)
# The faster rate of parsing_saip-small.py was tuned for its single layer.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=1))))
