"""Fashionpedia, KE R-CNN, with a TinyViT-5M.

See fashionpedia_ke-rcnn_saip-vit-tiny.py. Expected result: AP(IoU+F1) 41.3 ("Ours*"),
as read off the authors' figures (arXiv 2503.08201); not measured by this project.
"""

_base_ = ['fashionpedia_ke-rcnn_saip-vit-tiny.py', '../../_base_/tinyvit-5m.py']

model = dict(
    backbone=dict(_base_.tinyvit_5m_pyramid, _delete_=True, img_size=(1024, 1024)),
    neck=[dict(_base_.fpn, in_channels=[64, 128, 320, 256])],
)
