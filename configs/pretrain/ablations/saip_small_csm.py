"""saip_small.py with cross-scale matching only."""

_base_ = ['../saip_small.py']

model = dict(reconstruction=None, search=None)
find_unused_parameters = True  # the norm of middle tokens gets no gradient
