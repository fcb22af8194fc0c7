"""A small CSPNeXt as the backbone of tiny.py."""

_base_ = './tiny.py'

custom_imports = dict(imports=['saip_mm', 'saip_mm.models.cspnext'])

model = dict(
    backbone=dict(
        _delete_=True,
        type='SAIPCSPNeXt',
        deepen_factor=0.1,
        widen_factor=0.13,
        out_indices=(4,),
        img_size=(64, 32),
    ),
    matching=dict(in_channels=133),
    reconstruction=dict(in_channels=66),
    search=dict(in_channels=66),
)
