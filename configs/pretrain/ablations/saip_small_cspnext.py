"""saip_small.py with a small CSPNeXt (0.7 M parameters), which needs MMDetection."""

_base_ = ['../saip_small.py']

custom_imports = dict(imports=['saip_mm', 'saip_mm.models.cspnext'])

model = dict(
    backbone=dict(
        _delete_=True,
        type='SAIPCSPNeXt',
        deepen_factor=0.33,
        widen_factor=0.2,
        out_indices=(4,),
        img_size=_base_.global_size,
    ),
    matching=dict(in_channels=204),
    reconstruction=dict(in_channels=102),
    search=dict(in_channels=102),
)
