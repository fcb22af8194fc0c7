"""Human parsing on CIHP, UPerNet, with a TinyViT-5M; see cihp_saip-vit-tiny_512x512.py.

Expected result: mIoU 53.4 ("Ours*"), as read off the authors' figures (arXiv
2503.08201); not measured by this project.
"""

_base_ = ['cihp_saip-vit-tiny_512x512.py', '../../_base_/tinyvit-5m.py']

model = dict(
    backbone=dict(_base_.tinyvit_5m_pyramid, _delete_=True, img_size=(512, 512)),
    neck=None,
    decode_head=dict(in_channels=[64, 128, 320, 256]),
    auxiliary_head=dict(in_channels=320),
)
optim_wrapper = dict(paramwise_cfg=dict(no_decay=['attention_biases']))
