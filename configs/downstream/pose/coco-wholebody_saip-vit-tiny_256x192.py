"""COCO-WholeBody (133 keypoints), ViTPose with a SAIP ViT-Tiny, 256×192.

Expected result: AP 45.7 ("Ours") or 46.3 ("Ours*") on val2017, as read off the authors'
figures (arXiv 2503.08201); not measured by this project. Size and epochs are the
authors'; everything else is as for COCO keypoints.

    tools/dist_train.sh \
        configs/downstream/pose/coco-wholebody_saip-vit-tiny_256x192.py 8 \
        --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth

Data: as for COCO keypoints, plus annotations/coco_wholebody_{train,val}_v1.0.json
(github.com/jin-s13/COCO-WholeBody).
"""

_base_ = 'coco_saip-vit-tiny_256x192.py'

model = dict(head=dict(out_channels=133))
dataset = dict(
    type='CocoWholeBodyDataset',
    ann_file='annotations/coco_wholebody_train_v1.0.json',
)
val_dataset = dict(
    type='CocoWholeBodyDataset',
    ann_file='annotations/coco_wholebody_val_v1.0.json',
)
evaluator = dict(
    type='CocoWholeBodyMetric',
    ann_file='data/coco/annotations/coco_wholebody_val_v1.0.json',
)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=val_dataset)
test_dataloader = val_dataloader
val_evaluator = evaluator
test_evaluator = evaluator
default_hooks = dict(checkpoint=dict(save_best='coco-wholebody/AP'))
