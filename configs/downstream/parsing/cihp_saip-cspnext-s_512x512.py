"""Human parsing on CIHP, UPerNet, with a CSPNeXt-S; see cihp_saip-vit-tiny_512x512.py.

Expected result: mIoU 52.9 ("Ours*"), as read off the authors' figures (arXiv
2503.08201); not measured by this project.
"""

_base_ = 'cihp_saip-vit-tiny_512x512.py'

custom_imports = dict(
    imports=['saip_mm', 'saip_mm.downstream.parsing', 'saip_mm.models.cspnext']
)

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.SAIPCSPNeXt',
        deepen_factor=0.33,
        widen_factor=0.5,
        out_indices=(1, 2, 3, 4),
        img_size=(512, 512),
        init_cfg=dict(type='Pretrained', checkpoint='backbone.pth'),
    ),
    neck=None,
    decode_head=dict(in_channels=[64, 128, 256, 512]),
    auxiliary_head=dict(in_channels=256),
)
