"""saip_small.py with cross-scale matching only."""

_base_ = ['../saip_small.py']

model = dict(data_preprocessor=dict(csr_scale=None), reconstruction=None, search=None)
draw, apply = _base_.train_dataloader.dataset.pipeline
draw.update(scene=None)
train_dataloader = dict(dataset=dict(pipeline=[draw, apply]))
find_unused_parameters = True  # the norm of middle tokens gets no gradient
