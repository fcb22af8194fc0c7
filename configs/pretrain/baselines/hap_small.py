"""HAP in the setting of saip_small.py; it also needs keypoints.

    python tools/make_keypoints.py data/people CONFIG WEIGHTS

See ../hap_vit-tiny.py. With `train_dataloader.dataset.keypoints=''`, all masks are
blocks.
"""

_base_ = '../saip_small.py'

global_size = (128, 64)  # (h, w) in pixels

model = dict(
    _delete_=True,
    type='HAP',
    data_preprocessor=dict(type='HAPDataPreprocessor'),
    backbone=dict(
        type='SAIPViT',
        arch=dict(embed_dims=96, num_layers=6, num_heads=3, feedforward_channels=384),
        img_size=global_size,
        middle_block=5,
        fixed_positions=True,
    ),
    decoder=dict(
        type='CrossScaleReconstructionHead',
        in_channels=96,
        embed_dims=128,
        num_blocks=2,
        num_heads=4,
        img_size=global_size,
        anchor=False,
    ),
)
train_dataloader = dict(
    dataset=dict(
        keypoints='keypoints.json',
        pipeline=[
            dict(type='DrawMaskedView', size=global_size),
            dict(type='ApplyMaskedView'),
        ],
    )
)
default_hooks = dict(saip=None)  # there is no teacher
