"""Named tensors of the reference cases: every weight and input follows from its name.

A case (for instance ``tests/cases/case_a.json``) stores no tensors. Its numbers were
computed from the arrays that these functions return, to the last bit, so nothing here
may change: not the names, not the generator, not the order of the float32 operations.
"""

import hashlib
import re
from collections.abc import Sequence

import numpy as np

NORM_WEIGHT = re.compile(r'norm\d?\.weight$')


def normal(name: str, shape: Sequence[int]) -> np.ndarray:
    """Standard normal float32 array of ``shape`` that depends on ``name`` only."""
    digest = hashlib.sha256(name.encode()).digest()
    bits = np.random.PCG64(int.from_bytes(digest[:8], 'little'))
    return np.random.Generator(bits).standard_normal(tuple(shape), dtype=np.float32)


def weight(tag: str, role: str, key: str, shape: Sequence[int]) -> np.ndarray:
    """Weight ``key`` of the ``role`` ('student' or 'teacher') in the case ``tag``.

    Args:
        key: Name of the parameter in the authors' checkpoints; the prefix
            ``module.`` or a mapped name would give other numbers.
        shape: The parameter's shape, ``official_state_dict_shapes`` of the case.

    Returns:
        N(0, 0.02²), around one for the gains of norms; ones for ``weight_g``.
    """
    if key.endswith('weight_g'):
        return np.ones(shape, np.float32)
    noise = np.float32(0.02) * normal(f'{tag}/{role}/weight/{key}', shape)
    return np.float32(1) + noise if NORM_WEIGHT.search(key) else noise


def view(tag: str, step: int, name: str, shape: Sequence[int]) -> np.ndarray:
    """Input ``name`` of ``step`` (from 0): N(0, 1); a mask is where it is positive."""
    return normal(f'{tag}/input/step{step}/{name}', shape)
