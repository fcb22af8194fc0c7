"""Pedestrian attributes of PA-100K with a CSPNeXt-S.

See pa100k_saip-vit-tiny_256x128.py. Expected result: mA 83.6 % ("Ours*"), as read off
the authors' figures (arXiv 2503.08201); not measured by this project.
"""

_base_ = ['pa100k_saip-vit-tiny_256x128.py', '../../_base_/cspnext-s.py']

custom_imports = dict(
    imports=['saip_mm', 'saip_mm.downstream.attributes', 'saip_mm.models.cspnext']
)

model = dict(
    backbone=dict(_base_.cspnext_s, _delete_=True, img_size=(256, 128)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(in_channels=512),
)
