"""Pieces of downstream tasks that OpenMMLab's libraries lack.

Nothing here is imported by `saip_mm` itself: a config that needs it names it, as in
`custom_imports = dict(imports=['saip_mm', 'saip_mm.downstream.reid'])`.
"""
