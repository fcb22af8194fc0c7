"""SAIP* on images of your own, on one GPU, with DINOv2's ViT-S/14 as the teacher.

    python tools/train.py configs/pretrain/distillation/saip-star_1gpu_dinov2.py \
        --cfg-options train_dataloader.dataset.data_root=data/people

The recipe is that of saip_vit-tiny_1gpu.py. Download the weights once: save
`model.safetensors` of https://huggingface.co/timm/vit_small_patch14_reg4_dinov2.lvd142m
(Apache 2.0) as checkpoints/vit_small_patch14_reg4_dinov2.safetensors. Any timm model
with a class token can replace this teacher. No result has been measured.
"""

_base_ = ['../saip_vit-tiny_1gpu.py', '../../_base_/distilled_vit-tiny.py']

model = dict(
    backbone=dict(arch=dict(_base_.distilled_arch, _delete_=True)),
    distillation=dict(
        type='DistillationHead',
        teacher=dict(
            type='DistillationTeacher',
            model='vit_small_patch14_reg4_dinov2',
            checkpoint='checkpoints/vit_small_patch14_reg4_dinov2.safetensors',
            dtype='bfloat16',
        ),
        in_channels=192,
        out_channels=384,
    ),
)
