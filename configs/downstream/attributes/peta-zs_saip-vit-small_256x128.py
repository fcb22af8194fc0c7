"""Pedestrian attributes of PETA, zero-shot split, with a ViT-Small.

See peta-zs_saip-vit-tiny_256x128.py. Expected result: not measured by this project, and
not reported by the authors.
"""

_base_ = 'peta-zs_saip-vit-tiny_256x128.py'

model = dict(backbone=dict(arch='deit-small'), head=dict(in_channels=384))
