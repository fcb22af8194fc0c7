"""Re-identification on Market-1501 with a pretrained ViT-Tiny.

Expected: rank-1 93.7 % ("Ours") and 95.2 % ("Ours*") are the SAIP authors' figures,
read off arXiv 2503.08201, after pretraining on LUPerson. This project has not measured
it. The protocol is in configs/_base_/reid_256x128.py; its label smoothing and the
comparison of features after the batch norm are not among what the authors state.

Data: Market-1501 (Zheng et al., ICCV 2015) is given out by its authors,
zheng-lab-anu.github.io/Project/project_reid.html. Unpacked:

    data/Market-1501-v15.09.15/bounding_box_train/   12,936 images of 751 people
    data/Market-1501-v15.09.15/bounding_box_test/    the gallery
    data/Market-1501-v15.09.15/query/                3,368 images of 750 people

Run, with a backbone by tools/export_backbone.py:

    python tools/train.py configs/downstream/reid/market1501_saip-vit-tiny_256x128.py \
        --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth
    python tools/test.py configs/downstream/reid/market1501_saip-vit-tiny_256x128.py \
        work_dirs/market1501_saip-vit-tiny_256x128

`--cfg-options test_evaluator.rerank.k1=20` of tools/test.py also reports what
k-reciprocal re-ranking makes of it. From scratch: `model.backbone.init_cfg=None`.
"""

_base_ = '../../_base_/reid_256x128.py'

market1501 = dict(type='Market1501', data_root='data/Market-1501-v15.09.15')
model = dict(head=dict(num_classes=751))
train_dataloader = dict(dataset=market1501)
val_dataloader = dict(dataset=market1501)
test_dataloader = dict(dataset=market1501)
