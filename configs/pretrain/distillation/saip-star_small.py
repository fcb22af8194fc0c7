"""SAIP* for the small model, with the packaged `saip-vit-tiny` as the teacher.

    python tools/train.py configs/pretrain/distillation/saip-star_small.py \
        --cfg-options train_dataloader.dataset.data_root=data/people

The recipe is that of saip_small_128x64.py; nothing is downloaded.
"""

_base_ = '../saip_small_128x64.py'

model = dict(
    distillation=dict(
        type='DistillationHead',
        teacher=dict(type='DistillationTeacher', checkpoint='saip-vit-tiny'),
        in_channels=96,
        hidden_channels=192,
        out_channels=192,
    ),
)
