"""Text-to-image person retrieval on CUHK-PEDES with a pretrained ViT-Tiny.

Expected result: rank-1 59.3 % ("Ours") or 65.9 % ("Ours*") after pretraining on
LUPerson, as read off the authors' figures (arXiv 2503.08201); not measured by this
project. The authors choose the epoch on the test set. IRRA with CLIP's ViT-B/16 reaches
73.38 %. See configs/_base_/text_retrieval_384x128.py for the protocol.

Data: CUHK-PEDES (Li et al., CVPR 2017), sent by its authors on request
(github.com/ShuangLI59/Person-Search-with-Natural-Language-Description):

    data/CUHK-PEDES/imgs/           cam_a/, cam_b/, CUHK01/, CUHK03/, Market/,
                                    train_query/ and test_query/: 40,206 images
    data/CUHK-PEDES/reid_raw.json   (or caption_all.json, if its entries have splits):
                                    captions of 13,003 people

Run with a backbone from tools/export_backbone.py:

    python tools/train.py \
        configs/downstream/text_retrieval/cuhk-pedes_saip-vit-tiny_384x128.py \
        --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth
    python tools/test.py \
        configs/downstream/text_retrieval/cuhk-pedes_saip-vit-tiny_384x128.py \
        work_dirs/cuhk-pedes_saip-vit-tiny_384x128/best_text_retrieval_rank1_epoch_N.pth
"""

_base_ = '../../_base_/text_retrieval_384x128.py'

cuhkpedes = dict(type='CUHKPEDES', data_root='data/CUHK-PEDES')
model = dict(num_classes=11003)
train_dataloader = dict(dataset=cuhkpedes)
val_dataloader = dict(dataset=cuhkpedes)
test_dataloader = dict(dataset=cuhkpedes)
