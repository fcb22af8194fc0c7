"""The SAIP recipe for ViT-Small (22 M parameters); see saip_vit-tiny.py.

    tools/dist_train.sh configs/pretrain/saip_vit-small.py 8

This project has not run the full recipe, and the paper has no results for it.
"""

_base_ = './saip_vit-tiny.py'

model = dict(
    backbone=dict(arch='deit-small'),
    matching=dict(in_channels=384),
    reconstruction=dict(in_channels=384),
    search=dict(in_channels=384),
)
