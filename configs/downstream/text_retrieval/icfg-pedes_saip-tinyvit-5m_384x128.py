"""Text-to-image person retrieval on ICFG-PEDES with a TinyViT-5M.

See icfg-pedes_saip-vit-tiny_384x128.py.
Expected result: rank-1 53.2 % ("Ours*"), as read off the authors' figures (arXiv
2503.08201); not measured by this project.
"""

_base_ = ['icfg-pedes_saip-vit-tiny_384x128.py', '../../_base_/tinyvit-5m.py']

model = dict(backbone=dict(_base_.tinyvit_5m, _delete_=True, img_size=(384, 128)))
