"""The tiny SAIP in double precision, where a sum's order leaves no trace in AdamW."""

_base_ = './tiny.py'

custom_imports = dict(imports=['saip_mm', 'float64'])
