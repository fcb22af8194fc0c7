"""Frozen probes: evaluating features without training the network."""

from .drawn import ProbeSizes, run_probes
from .hook import ProbeHook
from .real import RealPeople, add_people_options, people_of, probe_real
from .subject import Subject, load_subject, subject_of
