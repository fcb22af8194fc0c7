"""saip_small.py with cross-scale matching only."""

_base_ = ['../saip_small.py']

model = dict(reconstruction=None, search=None)
