"""Re-identification on Market-1501 with a pretrained ViT-Tiny.

Expected result: rank-1 93.7 % ("Ours") or 95.2 % ("Ours*") after pretraining on
LUPerson, as read off the authors' figures (arXiv 2503.08201); not measured by this
project. See configs/_base_/reid_256x128.py for the protocol; the authors do not mention
label smoothing or the comparison of features after the batch norm.

Data: Market-1501 (Zheng et al., ICCV 2015), distributed by its authors at
zheng-lab-anu.github.io/Project/project_reid.html. Unpacked:

    data/Market-1501-v15.09.15/bounding_box_train/   12,936 images of 751 people
    data/Market-1501-v15.09.15/bounding_box_test/    the gallery
    data/Market-1501-v15.09.15/query/                3,368 images of 750 people

Run with a backbone from tools/export_backbone.py:

    python tools/train.py configs/downstream/reid/market1501_saip-vit-tiny_256x128.py \
        --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth
    python tools/test.py configs/downstream/reid/market1501_saip-vit-tiny_256x128.py \
        work_dirs/market1501_saip-vit-tiny_256x128

To train from scratch: `model.backbone.init_cfg=None`.
"""

_base_ = '../../_base_/reid_256x128.py'

market1501 = dict(type='Market1501', data_root='data/Market-1501-v15.09.15')
model = dict(head=dict(num_classes=751))
train_dataloader = dict(dataset=market1501)
val_dataloader = dict(dataset=market1501)
test_dataloader = dict(dataset=market1501)
