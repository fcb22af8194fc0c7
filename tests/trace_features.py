"""Functions of saip_mm between a checkpoint and features, as in CONTRIBUTING.md.

python tests/trace_features.py saip-vit-tiny
"""

import sys
from pathlib import Path

import numpy as np

import saip_mm

ROOT = Path(saip_mm.__file__).parent


def trace(path: str) -> list[tuple[Path, str]]:
    """File and name of each function, in the order of their first calls."""
    found = {}

    def note(frame, event, argument) -> None:
        code = frame.f_code
        ours = Path(code.co_filename).is_relative_to(ROOT)
        if event == 'call' and ours and '<' not in code.co_name:  # no comprehensions
            file = Path(code.co_filename).relative_to(ROOT)
            found[file, code.co_firstlineno, code.co_name] = None

    sys.setprofile(note)
    backbone = saip_mm.load_backbone(path)
    saip_mm.embed(backbone, [np.zeros((90, 40, 3), np.uint8)])
    sys.setprofile(None)
    return [(file, name) for file, _, name in found]


if __name__ == '__main__':
    functions = trace(sys.argv[1])
    for file, name in functions:
        print(f'{file}: {name}')
    files = {file for file, _ in functions}
    print(f'{len(functions)} functions in {len(files)} files')
