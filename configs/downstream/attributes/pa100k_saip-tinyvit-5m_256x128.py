"""Pedestrian attributes of PA-100K with a TinyViT-5M.

See pa100k_saip-vit-tiny_256x128.py. Expected result: mA 83.5 % ("Ours*"), as read off
the authors' figures (arXiv 2503.08201); not measured by this project.
"""

_base_ = ['pa100k_saip-vit-tiny_256x128.py', '../../_base_/tinyvit-5m.py']

model = dict(
    backbone=dict(_base_.tinyvit_5m, _delete_=True, img_size=(256, 128)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(in_channels=256),
)
optim_wrapper = dict(paramwise_cfg=dict(no_decay=['attention_biases']))
