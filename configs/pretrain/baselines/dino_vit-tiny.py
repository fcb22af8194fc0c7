"""DINO (arXiv 2104.14294) in the setting of saip_vit-tiny.py.

This is SAIP's matching without attention and without scales. The view `roi` becomes one
more local view, and `inst` a global view of the local views' size.
"""

_base_ = '../saip_vit-tiny.py'

model = dict(
    data_preprocessor=dict(scales=(1.0,), csr_scale=None),
    matching=dict(attention=False),
    reconstruction=None,
    search=None,
)
draw, apply = _base_.train_dataloader.dataset.pipeline
draw.update(scene=None)
train_dataloader = dict(dataset=dict(pipeline=[draw, apply]))
find_unused_parameters = True  # the norm of middle tokens gets no gradient
