"""Text-to-image person retrieval on ICFG-PEDES with a pretrained ViT-Tiny.

Expected result: rank-1 46.0 % ("Ours") or 56.9 % ("Ours*") after pretraining on
LUPerson, as read off the authors' figures (arXiv 2503.08201); not measured by this
project. The authors choose the epoch on the test set. IRRA with CLIP's ViT-B/16 reaches
63.46 %. See configs/_base_/text_retrieval_384x128.py for the protocol.

Data: ICFG-PEDES (Ding et al., arXiv 2107.12666), images of MSMT17, sent by its authors
on request (github.com/zifyloo/SSAN):

    data/ICFG-PEDES/imgs/             train/, 34,674 images; test/, 19,848 images
    data/ICFG-PEDES/ICFG-PEDES.json   (or ICFG_PEDES.json): one caption per image

Run with a backbone from tools/export_backbone.py:

    python tools/train.py \
        configs/downstream/text_retrieval/icfg-pedes_saip-vit-tiny_384x128.py \
        --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth
    python tools/test.py \
        configs/downstream/text_retrieval/icfg-pedes_saip-vit-tiny_384x128.py \
        work_dirs/icfg-pedes_saip-vit-tiny_384x128/epoch_60.pth
"""

_base_ = '../../_base_/text_retrieval_384x128.py'

icfgpedes = dict(type='ICFGPEDES', data_root='data/ICFG-PEDES')
model = dict(num_classes=3102)
train_dataloader = dict(dataset=icfgpedes)
val_dataloader = dict(dataset=dict(**icfgpedes, split='test'))
test_dataloader = dict(dataset=icfgpedes)

# There are no people for validation. The last checkpoint counts; intermediate results
# are measured on the test set, so that they cannot select another.
default_hooks = dict(checkpoint=dict(save_best=None))
train_cfg = dict(val_interval=20)
