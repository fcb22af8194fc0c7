"""Text-to-image person retrieval on CUHK-PEDES with a CSPNeXt-S.

See cuhk-pedes_saip-vit-tiny_384x128.py. Expected result: not measured by this
project.
"""

_base_ = 'cuhk-pedes_saip-vit-tiny_384x128.py'

custom_imports = dict(
    imports=['saip_mm', 'saip_mm.downstream.text_retrieval', 'saip_mm.models.cspnext']
)

model = dict(
    backbone=dict(
        _delete_=True,
        type='SAIPCSPNeXt',
        deepen_factor=0.33,
        widen_factor=0.5,
        out_indices=(4,),
        img_size=(384, 128),
        init_cfg=dict(type='Pretrained', checkpoint='backbone.pth'),
    ),
)
