"""Human parsing on LIP, UPerNet, with a TinyViT-5M; see lip_saip-vit-tiny_576x384.py.

Expected result: mIoU 57.0 ("Ours*"), as read off the authors' figures (arXiv
2503.08201); not measured by this project.
"""

_base_ = ['lip_saip-vit-tiny_576x384.py', '../../_base_/tinyvit-5m.py']

model = dict(
    backbone=dict(_base_.tinyvit_5m_pyramid, _delete_=True, img_size=(576, 384)),
    neck=None,
    decode_head=dict(in_channels=[64, 128, 320, 256]),
    auxiliary_head=dict(in_channels=320),
)
optim_wrapper = dict(paramwise_cfg=dict(no_decay=['attention_biases']))
