"""HAP (arXiv 2310.20695) for ViT-Base, from MAE's ImageNet weights, as in the paper.

Data and commands are those of hap_vit-tiny.py. Convert the weights that MAE's authors
released first:

    python tools/convert_checkpoint.py mae_pretrain_vit_base.pth \
        --out checkpoints/mae-vit-base.pth

The authors report 78.1 mAP on MSMT17, 86.54 mA on PA-100K and 78.2 AP on COCO. This
project has not run the recipe.
"""

_base_ = ['hap_vit-tiny.py']

model = dict(
    backbone=dict(
        arch='base',
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/mae-vit-base.pth'),
    ),
    decoder=dict(in_channels=768),
)
