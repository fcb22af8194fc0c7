"""DPAL (arXiv 2508.07144) for ViT-Tiny: 200 epochs of 1 M person images.

DPAL is another method, for comparison with SAIP* on the same data. A frozen teacher
provides class tokens, patches of the person, and relations of all patches of a scene.
The paper's teachers are PATH-B (HumanBench) and SOLIDER; the teacher here is the
ViT-Small of saip_vit-small.py. For others, see docs/distillation.md.

    tools/dist_train.sh configs/pretrain/distillation/dpal_vit-tiny.py 8

The paper also uses a folder of scenes (`train_dataloader.dataset.scenes`). This project
has not run the full recipe.
"""

_base_ = [
    '../../_base_/saip_vit-tiny.py',
    '../../_base_/default_runtime.py',
    '../../_base_/distilled_vit-tiny.py',
]

global_size = (256, 128)  # (h, w) in pixels
local_size = (128, 96)
scene_size = (256, 256)

model = dict(
    _delete_=True,
    type='DPAL',
    data_preprocessor=dict(
        type='SAIPDataPreprocessor',
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
        scales=(1.0,),
        csr_scale=1.0,
    ),
    backbone=dict(type='SAIPViT', arch=_base_.distilled_arch, img_size=global_size),
    teacher=dict(
        type='DistillationTeacher',
        checkpoint='work_dirs/saip_vit-small',
        dtype='bfloat16',
    ),
    adapter=dict(
        type='PatternAdapter',
        in_channels=192,
        out_channels=384,
        num_heads=6,
        hidden_channels=192,
        divisor=256.0,
    ),
    gate_weights=(0.1, 0.01),
    gate_epochs=20,
    norm_weight=0.025,
)

train_pipeline = [
    dict(
        type='DrawViews',
        global_size=global_size,
        local_size=local_size,
        scene_size=scene_size,
        num_locals=1,  # besides the one that is pasted into the scene
        local=dict(area=(0.05, 0.8), aspect=(0.6, 0.9), blur=0.5),
    ),
    dict(type='ApplyViews'),
]
train_dataloader = dict(
    dataset=dict(
        data_root='data/LUPerson', ann_file='quarter.txt', pipeline=train_pipeline
    )
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
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, end=10, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=10, convert_to_iter_based=True),
]
train_cfg = dict(type='AccumulatingTrainLoop', max_epochs=200)
