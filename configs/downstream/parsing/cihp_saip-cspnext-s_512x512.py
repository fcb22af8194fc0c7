"""Human parsing on CIHP, UPerNet, with a CSPNeXt-S; see cihp_saip-vit-tiny_512x512.py.

Expected result: mIoU 52.9 ("Ours*"), as read off the authors' figures (arXiv
2503.08201); not measured by this project.
"""

_base_ = ['cihp_saip-vit-tiny_512x512.py', '../../_base_/cspnext-s.py']

custom_imports = dict(
    imports=['saip_mm', 'saip_mm.downstream.parsing', 'saip_mm.models.cspnext']
)

model = dict(
    backbone=dict(_base_.cspnext_s_pyramid, _delete_=True, img_size=(512, 512)),
    neck=None,
    decode_head=dict(in_channels=[64, 128, 256, 512]),
    auxiliary_head=dict(in_channels=256),
)
