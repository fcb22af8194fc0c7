"""Text-to-image person retrieval on ICFG-PEDES with a CSPNeXt-S.

See icfg-pedes_saip-vit-tiny_384x128.py.
Expected result: rank-1 56.7 % ("Ours*"), as read off the authors' figures (arXiv
2503.08201); not measured by this project.
"""

_base_ = ['icfg-pedes_saip-vit-tiny_384x128.py', '../../_base_/cspnext-s.py']

custom_imports = dict(
    imports=['saip_mm', 'saip_mm.downstream.text_retrieval', 'saip_mm.models.cspnext']
)

model = dict(backbone=dict(_base_.cspnext_s, _delete_=True, img_size=(384, 128)))
