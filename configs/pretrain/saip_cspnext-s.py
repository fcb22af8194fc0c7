"""The SAIP recipe for MMDetection's CSPNeXt-S; see saip_vit-tiny.py.

    tools/dist_train.sh configs/pretrain/saip_cspnext-s.py 8

The matching token is the mean of the stride-32 map; search and reconstruction use the
stride-16 map. Masked patches are replaced by a learned color. Needs MMDetection. This
project has not run the full recipe.
"""

_base_ = './saip_vit-tiny.py'

custom_imports = dict(imports=['saip_mm', 'saip_mm.models.cspnext'])

model = dict(
    backbone=dict(
        _delete_=True,
        type='SAIPCSPNeXt',
        deepen_factor=0.33,
        widen_factor=0.5,
        out_indices=(4,),
        img_size=(256, 128),
    ),
    matching=dict(in_channels=512),
    reconstruction=dict(in_channels=256),
    search=dict(in_channels=256),
)
sync_bn = 'torch'  # on several GPUs, batch statistics of the global batch
