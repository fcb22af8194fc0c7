"""Fashionpedia, KE R-CNN, with a ViT-Small.

See fashionpedia_ke-rcnn_saip-vit-tiny.py. Expected result: not measured by this
project, and not reported by the authors.
"""

_base_ = 'fashionpedia_ke-rcnn_saip-vit-tiny.py'

model = dict(
    backbone=dict(arch='deit-small'),
    neck=[
        dict(type='mmpretrain.ViTPyramid', in_channels=384),
        dict(_base_.fpn, in_channels=[96, 192, 384, 384]),
    ],
)
