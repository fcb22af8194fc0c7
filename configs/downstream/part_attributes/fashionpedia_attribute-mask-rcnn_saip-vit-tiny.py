"""Fashionpedia, Attribute-Mask R-CNN with a ViT-Tiny: a linear layer for attributes.

This is the model of the data set's paper (arXiv 2004.12276); all else is as in
fashionpedia_ke-rcnn_saip-vit-tiny.py. Expected result: not measured by this project,
and not reported by the authors.
"""

_base_ = 'fashionpedia_ke-rcnn_saip-vit-tiny.py'

model = dict(
    roi_head=dict(
        attribute_head=dict(_delete_=True, type='AttributeHead', num_attributes=294)
    )
)
