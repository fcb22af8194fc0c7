"""A small TinyViT as the backbone of tiny.py."""

_base_ = './tiny.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='SAIPTinyViT',
        arch=dict(channels=[8, 8, 16, 24], num_heads=[1, 2, 2, 3], depths=[1, 1, 2, 1]),
        window_size=(7, 7, 4, 3),
        neck_channels=12,
        img_size=(64, 32),
    ),
    matching=dict(in_channels=12),
    reconstruction=dict(in_channels=24),
    search=dict(in_channels=24),
)
