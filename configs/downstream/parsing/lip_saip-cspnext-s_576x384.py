"""Human parsing on LIP, UPerNet, with a CSPNeXt-S; see lip_saip-vit-tiny_576x384.py.

Expected result: mIoU 54.3 ("Ours*"), as read off the authors' figures (arXiv
2503.08201); not measured by this project.
"""

_base_ = ['lip_saip-vit-tiny_576x384.py', '../../_base_/cspnext-s.py']

custom_imports = dict(
    imports=['saip_mm', 'saip_mm.downstream.parsing', 'saip_mm.models.cspnext']
)

model = dict(
    backbone=dict(_base_.cspnext_s_pyramid, _delete_=True, img_size=(576, 384)),
    neck=None,
    decode_head=dict(in_channels=[64, 128, 256, 512]),
    auxiliary_head=dict(in_channels=256),
)
