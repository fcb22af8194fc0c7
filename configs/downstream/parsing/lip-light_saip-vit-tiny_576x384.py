"""Human parsing on LIP with a SAIP ViT-Tiny and a light decoder, 576×384.

SegFormer's decoder (arXiv 2105.15203), on a pyramid of the last map, replaces UPerNet
and costs less than the backbone. All else is as in lip_saip-vit-tiny_576x384.py.
Expected result: not measured by this project.
"""

_base_ = 'lip_saip-vit-tiny_576x384.py'

model = dict(
    decode_head=dict(
        _delete_=True,
        type='SegformerHead',
        in_channels=_base_.channels,
        in_index=[0, 1, 2, 3],
        channels=128,
        num_classes=20,
        norm_cfg=dict(type='GN', num_groups=32),
    ),
    auxiliary_head=None,
)
