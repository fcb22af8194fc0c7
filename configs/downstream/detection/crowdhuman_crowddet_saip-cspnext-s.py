"""CrowdHuman, CrowdDet R-CNN, with a CSPNeXt-S.

See crowdhuman_crowddet_saip-vit-tiny.py. Expected result: AP 88.8 ("Ours*"), as read
off the authors' figures (arXiv 2503.08201); not measured by this project.
"""

_base_ = ['crowdhuman_crowddet_saip-vit-tiny.py', '../../_base_/cspnext-s.py']

custom_imports = dict(
    imports=['saip_mm', 'saip_mm.downstream.detection', 'saip_mm.models.cspnext']
)

model = dict(
    backbone=dict(_base_.cspnext_s_pyramid, _delete_=True, img_size=(832, 1408)),
    neck=[dict(_base_.fpn, in_channels=[64, 128, 256, 512])],
)
