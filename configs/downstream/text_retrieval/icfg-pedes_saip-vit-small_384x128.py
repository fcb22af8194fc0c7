"""Text-to-image person retrieval on ICFG-PEDES with a ViT-Small.

See icfg-pedes_saip-vit-tiny_384x128.py.
Expected result: not measured by this project, and not reported by the authors.
"""

_base_ = 'icfg-pedes_saip-vit-tiny_384x128.py'

model = dict(backbone=dict(arch='deit-small'))
