"""Text-to-image person retrieval on RSTPReid with a TinyViT-5M.

See rstpreid_saip-vit-tiny_384x128.py.
Expected result: not measured by this project, and not reported by the authors.
"""

_base_ = ['rstpreid_saip-vit-tiny_384x128.py', '../../_base_/tinyvit-5m.py']

model = dict(backbone=dict(_base_.tinyvit_5m, _delete_=True, img_size=(384, 128)))
