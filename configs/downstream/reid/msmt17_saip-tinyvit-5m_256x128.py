"""Re-identification on MSMT17 with a TinyViT-5M; see msmt17_saip-vit-tiny_256x128.py.

Expected result: rank-1 84.6 % ("Ours*"), as read off the authors' figures (arXiv
2503.08201); not measured by this project. The learning rate is the authors' 8e-4.
"""

_base_ = ['msmt17_saip-vit-tiny_256x128.py', '../../_base_/tinyvit-5m.py']

model = dict(
    backbone=dict(_base_.tinyvit_5m, _delete_=True, img_size=(256, 128)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(in_channels=256),
)
optim_wrapper = dict(optimizer=dict(lr=8e-4))
