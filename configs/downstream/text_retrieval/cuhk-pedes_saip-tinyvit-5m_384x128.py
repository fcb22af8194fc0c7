"""Text-to-image person retrieval on CUHK-PEDES with a TinyViT-5M.

See cuhk-pedes_saip-vit-tiny_384x128.py. Expected result: not measured by this
project.
"""

_base_ = 'cuhk-pedes_saip-vit-tiny_384x128.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='SAIPTinyViT',
        img_size=(384, 128),
        init_cfg=dict(type='Pretrained', checkpoint='backbone.pth'),
    ),
)
