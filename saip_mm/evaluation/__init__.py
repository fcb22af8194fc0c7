"""Frozen probes: evaluating features without training the network."""

from .drawn import ProbeSizes, run_probes
from .folders import probe_coco, probe_market1501
from .hook import ProbeHook
from .subject import Subject, load_subject, teacher_of

__all__ = [
    'ProbeHook',
    'ProbeSizes',
    'Subject',
    'load_subject',
    'probe_coco',
    'probe_market1501',
    'run_probes',
    'teacher_of',
]
