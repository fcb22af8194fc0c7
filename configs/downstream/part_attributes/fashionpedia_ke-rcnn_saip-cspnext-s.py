"""Fashionpedia, KE R-CNN, with a CSPNeXt-S.

See fashionpedia_ke-rcnn_saip-vit-tiny.py. Expected result: AP(IoU+F1) 37.9 ("Ours*"),
as read off the authors' figures (arXiv 2503.08201); not measured by this project.
"""

_base_ = ['fashionpedia_ke-rcnn_saip-vit-tiny.py', '../../_base_/cspnext-s.py']

custom_imports = dict(
    imports=[
        'saip_mm',
        'saip_mm.downstream.part_attributes',
        'saip_mm.models.cspnext',
    ]
)

model = dict(
    backbone=dict(_base_.cspnext_s_pyramid, _delete_=True, img_size=(1024, 1024)),
    neck=[dict(_base_.fpn, in_channels=[64, 128, 256, 512])],
)
