"""Plain distillation: only the token losses of saip-star_small.py."""

_base_ = './saip-star_small.py'

model = dict(
    data_preprocessor=dict(csr_scale=None),
    matching=None,
    reconstruction=None,
    search=None,
    distillation=dict(attention_weight=0),
)
draw, apply = _base_.train_dataloader.dataset.pipeline
draw.update(scene=None)
train_dataloader = dict(dataset=dict(pipeline=[draw, apply]))
find_unused_parameters = True  # the norm of middle tokens gets no gradient
