"""Text-to-image person retrieval on CUHK-PEDES with a ViT-Small.

See cuhk-pedes_saip-vit-tiny_384x128.py.
Expected result: not measured by this project, and not reported by the authors.
"""

_base_ = 'cuhk-pedes_saip-vit-tiny_384x128.py'

model = dict(backbone=dict(arch='deit-small'))
