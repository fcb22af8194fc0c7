"""Human parsing on CIHP, UPerNet, with a ViT-Small; see cihp_saip-vit-tiny_512x512.py.

Expected result: not measured by this project, and not reported by the authors.
"""

_base_ = 'cihp_saip-vit-tiny_512x512.py'

model = dict(
    backbone=dict(arch='deit-small'),
    neck=dict(in_channels=384),
    decode_head=dict(in_channels=[96, 192, 384, 384]),
    auxiliary_head=dict(in_channels=384),
)
