"""upernet_saip-vit-tiny.py with the light decoder of lip-light_saip-vit-tiny.py."""

_base_ = './upernet_saip-vit-tiny.py'

model = dict(
    decode_head=dict(
        _delete_=True,
        type='SegformerHead',
        in_channels=_base_.channels,
        in_index=[0, 1, 2, 3],
        channels=128,
        num_classes=_base_.num_classes,
        norm_cfg=_base_.group_norm,
    )
)
