"""DINO (arXiv 2104.14294) in the setting of saip_vit-tiny.py.

The matching of SAIP without attention and without scales: of the views `roi` and
`inst`, the first is one more local view, the second a global one of the locals' size.
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
