"""Re-identification on MSMT17 with a pretrained ViT-Tiny.

Expected result: rank-1 75.7 % ("Ours") or 83.1 % ("Ours*") after pretraining on
LUPerson, as read off the authors' figures (arXiv 2503.08201); not measured by this
project. See configs/_base_/reid_256x128.py for the protocol; the authors do not mention
label smoothing or the comparison of features after the batch norm.

Data: MSMT17 (Wei et al., CVPR 2018), distributed by its authors under a signed
agreement at pkuvmc.com/dataset.html. The first version, unpacked:

    data/MSMT17_V1/train/           32,621 images of 1,041 people
    data/MSMT17_V1/test/            93,820 images of 3,060 people
    data/MSMT17_V1/list_train.txt   and list_val.txt, both used for training
    data/MSMT17_V1/list_query.txt   and list_gallery.txt

To use the second release, MSMT17_V2, which has mask_train_v2/ and mask_test_v2/ instead
of train/ and test/, set data_root of the three data sets to its folder.

Run with a backbone from tools/export_backbone.py:

    python tools/train.py configs/downstream/reid/msmt17_saip-vit-tiny_256x128.py \
        --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth
    python tools/test.py configs/downstream/reid/msmt17_saip-vit-tiny_256x128.py \
        work_dirs/msmt17_saip-vit-tiny_256x128
"""

_base_ = '../../_base_/reid_256x128.py'

msmt17 = dict(type='MSMT17', data_root='data/MSMT17_V1')
model = dict(head=dict(num_classes=1041))
train_dataloader = dict(dataset=msmt17)
val_dataloader = dict(dataset=msmt17)
test_dataloader = dict(dataset=msmt17)
