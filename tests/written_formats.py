"""Small data sets of drawn people in the layouts of data sets."""

import contextlib
import functools
import io
import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from saip_mm.drawn import WRITERS

SEED, NUM = 3, 8
TRAIN, VAL = 3 * SEED, 3 * SEED + 1  # seeds of the splits


@functools.cache
def _written(name, num, seed, size) -> TemporaryDirectory:
    folder = TemporaryDirectory(prefix=f'{name}_')
    WRITERS[name](folder.name, num, seed, size).write()
    return folder


def root(name) -> Path:
    """Folder of a data set, written once per process; do not change it."""
    return Path(_written(name, NUM, SEED, None).name)


def write(name, out, num=NUM, seed=SEED, size=None):
    """Write a data set; equal ones are drawn once."""
    folder = _written(name, num, seed, size)
    shutil.copytree(folder.name, out, dirs_exist_ok=True)
    return out


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all files below a folder."""
    files = [path for path in folder.rglob('*') if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def read_image(path):
    return np.asarray(Image.open(path))


def is_nearly(path, image):
    """Whether a JPEG shows an image."""
    return np.abs(read_image(path).astype(int) - image).mean() < 4


def quietly(function, *arguments):
    """Return what a function returns, without what it prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        return function(*arguments)


def write_rstpreid(out):
    """The layout of RSTPReid, with the people of CUHK-PEDES and gaps between them."""
    write('cuhk-pedes', out)
    entries = json.loads((out / 'reid_raw.json').read_text())
    for entry in entries:
        entry['img_path'] = entry.pop('file_path')
        entry['id'] = 7 * entry['id'] + 3
    (out / 'reid_raw.json').unlink()
    (out / 'data_captions.json').write_text(json.dumps(entries))
    return out


CAPTIONED = dict(
    CUHKPEDES=lambda out: write('cuhk-pedes', out),
    ICFGPEDES=lambda out: write('icfg-pedes', out),
    RSTPReid=write_rstpreid,
)
