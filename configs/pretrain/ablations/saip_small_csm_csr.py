"""saip_small.py with matching and reconstruction, without search."""

_base_ = ['../saip_small.py']

model = dict(search=None)
draw, apply = _base_.train_dataloader.dataset.pipeline
draw.update(scene=None)
train_dataloader = dict(dataset=dict(pipeline=[draw, apply]))
