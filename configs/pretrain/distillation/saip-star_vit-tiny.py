"""SAIP*: the SAIP recipe for ViT-Tiny with a frozen teacher; see saip_vit-tiny.py.

    tools/dist_train.sh configs/pretrain/distillation/saip-star_vit-tiny.py 8

The teacher is the ViT-Small of saip_vit-small.py. With a ViT-Base, for example, set
`out_channels=768` and the last block's heads to 12. The paper does not describe SAIP*;
`DistillationHead` documents what was inferred. For other teachers, see
docs/distillation.md. This project has not run the full recipe.
"""

_base_ = ['../saip_vit-tiny.py', '../../_base_/distilled_vit-tiny.py']

model = dict(
    backbone=dict(arch=dict(_base_.distilled_arch, _delete_=True)),
    distillation=dict(
        type='DistillationHead',
        teacher=dict(
            type='DistillationTeacher',
            checkpoint='work_dirs/saip_vit-small',
            dtype='bfloat16',
        ),
        in_channels=192,
        hidden_channels=768,
        out_channels=384,
        class_weight=1.0,
        patch_weight=1.0,
        attention_weight=1.0,
    ),
)
