"""COCO keypoints with a TinyViT-5M; see coco_saip-vit-tiny_256x192.py.

Expected result: AP 73.3 ("Ours*"), as read off the authors' figures (arXiv 2503.08201);
not measured by this project. As in the authors' setting, AdamW at 7e-4 has neither
weight decay nor layer decay, and batches have 128 images.
"""

_base_ = ['coco_saip-vit-tiny_256x192.py', '../../_base_/tinyvit-5m.py']

model = dict(
    backbone=dict(_base_.tinyvit_5m, _delete_=True, img_size=(256, 192)),
    head=dict(in_channels=256),
)
train_dataloader = dict(batch_size=128)
auto_scale_lr = dict(base_batch_size=1024)  # 8 GPUs
optim_wrapper = dict(
    constructor='mmpretrain.WeightDecayGroups',
    paramwise_cfg=dict(_delete_=True, no_decay=['attention_biases']),
    optimizer=dict(lr=7e-4, weight_decay=0.0),
)
