"""COCO keypoints, ViTPose with a SAIP ViT-Tiny, 256×192.

Expected result: AP 70.1 ("Ours") or 70.9 ("Ours*") on val2017, as read off the authors'
figures (arXiv 2503.08201); not measured by this project. Settings that the authors do
not state are MMPose's: batches of 8x64, warm-up, gradient clipping, detected boxes.

    tools/dist_train.sh configs/downstream/pose/coco_saip-vit-tiny_256x192.py 8 \
        --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth

Data: data/coco with train2017/, val2017/ and annotations/ (cocodataset.org), and
person_detection_results/ (linked in MMPose's documentation of COCO).
"""

_base_ = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_ViTPose-small_8xb64-210e_coco-256x192.py'  # noqa: E501

custom_imports = dict(_delete_=True, imports=['saip_mm'])

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.SAIPViT',
        img_size=(256, 192),
        init_cfg=dict(type='Pretrained', checkpoint='backbone.pth'),
    ),
    head=dict(in_channels=192),
)
optim_wrapper = dict(
    constructor='mmpretrain.LayerDecay',
    paramwise_cfg=dict(
        _delete_=True, decay_rate=0.75, no_decay=['cls_token', 'pos_embed']
    ),
)
