"""The tiny SAIP with a frozen teacher of more heads: SAIP*; for tests.

Set `model.distillation.teacher.checkpoint` to a SAIP of 24 channels and 6 heads.
"""

_base_ = './tiny.py'

model = dict(
    backbone=dict(arch=dict(num_heads=(3, 6))),
    distillation=dict(
        type='DistillationHead',
        teacher=dict(type='DistillationTeacher', checkpoint='teacher.pth'),
        in_channels=24,
        hidden_channels=32,
        out_channels=48,
    ),
)
