"""CrowdHuman, CrowdDet R-CNN, with a TinyViT-5M.

See crowdhuman_crowddet_saip-vit-tiny.py. Expected result: AP 90.6 ("Ours*"), as read
off the authors' figures (arXiv 2503.08201); not measured by this project.
"""

_base_ = ['crowdhuman_crowddet_saip-vit-tiny.py', '../../_base_/tinyvit-5m.py']

model = dict(
    backbone=dict(_base_.tinyvit_5m_pyramid, _delete_=True, img_size=(832, 1408)),
    neck=[dict(_base_.fpn, in_channels=[64, 128, 320, 256])],
)
