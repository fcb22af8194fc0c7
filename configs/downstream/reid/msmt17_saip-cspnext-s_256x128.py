"""Re-identification on MSMT17 with a CSPNeXt-S; see msmt17_saip-vit-tiny_256x128.py.

Expected result: rank-1 83.4 % ("Ours*"), as read off the authors' figures (arXiv
2503.08201); not measured by this project.
"""

_base_ = ['msmt17_saip-vit-tiny_256x128.py', '../../_base_/cspnext-s.py']

custom_imports = dict(
    imports=['saip_mm', 'saip_mm.downstream.reid', 'saip_mm.models.cspnext']
)

model = dict(
    backbone=dict(_base_.cspnext_s, _delete_=True, img_size=(256, 128)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(in_channels=512),
)
