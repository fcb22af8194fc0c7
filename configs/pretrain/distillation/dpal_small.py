"""DPAL in the setting of saip-star_small.py; see dpal_vit-tiny.py."""

_base_ = '../saip_small_128x64.py'

global_size = (128, 64)  # (h, w) in pixels
local_size = (64, 48)
scene_size = (128, 128)

model = dict(
    _delete_=True,
    type='DPAL',
    data_preprocessor=dict(
        type='SAIPDataPreprocessor',
        scales=(1.0,),
        csr_scale=1.0,
        patch_size=8,
    ),
    backbone={{_base_.model.backbone}},
    teacher=dict(type='DistillationTeacher', checkpoint='saip-vit-tiny'),
    gate_epochs=3,  # a tenth of the training, as in the paper
    adapter=dict(
        type='PatternAdapter',
        in_channels=96,
        out_channels=192,
        num_heads=3,
        hidden_channels=96,
    ),
)
draw_views = dict(
    local_size=local_size,
    scene_size=scene_size,
    num_locals=1,
    local=dict(area=(0.15, 0.5), aspect=(0.6, 0.9), blur=0.5),
)
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(_base_.draw_views, **draw_views),
            dict(type='PackViews', canvas=(128, 96)),
        ],
    ),
)
optim_wrapper = dict(
    paramwise_cfg=dict(
        no_decay=[
            *_base_.optim_wrapper.paramwise_cfg.no_decay,
            *('gate_token', 'expert_tokens'),
        ]
    )
)
default_hooks = dict(saip=None)  # there is no moving average
