"""DINO in the setting of saip_small.py; see dino_vit-tiny.py."""

_base_ = '../saip_small.py'

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
