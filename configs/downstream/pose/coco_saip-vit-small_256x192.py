"""COCO keypoints with a ViT-Small; see coco_saip-vit-tiny_256x192.py.

Expected result: not measured by this project, and not reported by the authors.
"""

_base_ = 'coco_saip-vit-tiny_256x192.py'

model = dict(backbone=dict(arch='deit-small'), head=dict(in_channels=384))
