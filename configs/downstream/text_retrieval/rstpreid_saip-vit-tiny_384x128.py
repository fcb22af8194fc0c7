"""Text-to-image person retrieval on RSTPReid with a pretrained ViT-Tiny.

Expected result: not measured by this project, and not reported by the authors. See
configs/_base_/text_retrieval_384x128.py for the protocol.

Data: RSTPReid (Zhu et al., ACM MM 2021), images of MSMT17, sent by its authors on
request (github.com/NjtechCVLab/RSTPReid-Dataset):

    data/RSTPReid/imgs/                20,505 images of 4,101 people
    data/RSTPReid/data_captions.json   two captions per image

Run with a backbone from tools/export_backbone.py:

    python tools/train.py \
        configs/downstream/text_retrieval/rstpreid_saip-vit-tiny_384x128.py \
        --cfg-options model.backbone.init_cfg.checkpoint=backbone.pth
    python tools/test.py \
        configs/downstream/text_retrieval/rstpreid_saip-vit-tiny_384x128.py \
        work_dirs/rstpreid_saip-vit-tiny_384x128/best_text_retrieval_rank1_epoch_N.pth
"""

_base_ = '../../_base_/text_retrieval_384x128.py'

rstpreid = dict(type='RSTPReid', data_root='data/RSTPReid')
model = dict(num_classes=3701)
train_dataloader = dict(dataset=rstpreid)
val_dataloader = dict(dataset=rstpreid)
test_dataloader = dict(dataset=rstpreid)
