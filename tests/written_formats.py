"""Small data sets of drawn people in others' formats, for tests."""

import contextlib
import functools
import io
import shutil
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from saip_mm.drawn import WRITERS

SEED, NUM = 3, 8
TRAIN, VAL = 3 * SEED, 3 * SEED + 1  # seeds of the splits


@functools.cache
def written(name, num, seed, size) -> TemporaryDirectory:
    """A data set as tools/make_synthetic.py writes it; it goes with this process."""
    folder = TemporaryDirectory(prefix=f'{name}_')
    WRITERS[name](folder.name, num, seed, size).write()
    return folder


def write(name, out, num=NUM, seed=SEED, size=None):
    """Write a data set; equal ones are drawn once."""
    folder = written(name, num, seed, size)
    shutil.copytree(folder.name, out, dirs_exist_ok=True)
    return out


def read_image(path):
    return np.asarray(Image.open(path))


def is_nearly(path, image):
    """Whether a JPEG shows an image."""
    return np.abs(read_image(path).astype(int) - image).mean() < 4


def quietly(function, *arguments):
    """What a function returns, without what it prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        return function(*arguments)
