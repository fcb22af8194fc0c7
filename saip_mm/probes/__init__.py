"""Frozen probes: what features can be read for, without training the network."""

from .data import ProbeSizes
from .run import run_probes
from .subject import Subject, load_subject, teacher_of

__all__ = ['ProbeSizes', 'Subject', 'load_subject', 'run_probes', 'teacher_of']
