"""Images: reading files as RGB arrays, resizing, normalization."""

import errno
import io
import math
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tvf

from .metadata import drop_metadata, exif_orientation

MAX_PIXELS = 50_000_000  # larger images take seconds and hundreds of megabytes
MAX_BYTES = 1 << 30  # of a file: more than MAX_PIXELS need, even uncompressed
MAX_READERS = 8  # threads; one may need half a gigabyte for the largest images
BACKGROUND = (128, 128, 128)  # behind transparent pixels: neither dark nor light
Reduction = Callable[[tuple[int, int]], float]  # of an image, by its (h, w)

# Failures of the machine or its storage, which say nothing about the image.
_OUTAGES = {
    getattr(errno, name)
    for name in (
        *('EMFILE', 'ENFILE', 'ENOMEM', 'ESTALE', 'ENOTCONN', 'ETIMEDOUT'),
        *('ECONNABORTED', 'ECONNREFUSED', 'ECONNRESET', 'EHOSTDOWN', 'EHOSTUNREACH'),
        *('ENETDOWN', 'ENETUNREACH', 'ESHUTDOWN', 'EKEYEXPIRED'),
    )
}


class ImageError(OSError):
    """An image that cannot be used; the message names the file and the remedy."""


def raise_if_outage(error: Exception, name: str | os.PathLike) -> None:
    """Raise OSError if an error is a failure of the machine or its storage.

    A MemoryError is raised again.
    """
    if isinstance(error, MemoryError):
        raise error
    if isinstance(error, OSError) and error.errno in _OUTAGES:
        raise OSError(
            error.errno,
            f'{os.strerror(error.errno)} (a failure of this machine or its storage; '
            'rerun the command to resume once it is fixed)',
            os.fspath(name),
        ) from error


def unreduced(shape: tuple[int, int]) -> float:
    return 1


def read_image(
    path: str | os.PathLike, max_reduction: Reduction = unreduced
) -> np.ndarray:
    """Read an image file as RGB, uint8 ``[H, W, 3]``.

    - The EXIF orientation is applied and parsed as OpenCV does it, so that boxes match
      those of MMDetection: OpenCV 4.12 applies it to JPEG, PNG and TIFF (it cannot read
      TIFF with orientations 5 to 8), OpenCV 4.13 also to WebP. Unlike in OpenCV, the
      rotation stored in an AVIF file is applied. All other metadata are ignored.
    - Transparent pixels are blended with mid-gray (``BACKGROUND``).
    - 16-bit values are reduced to their high byte.
    - CMYK is converted without a color profile. Inks in a JPEG are assumed to be
      inverted, as all programs write them.
    - Only the first image of an animation or multi-page file is read.

    Args:
        path: The file.
        max_reduction: Called with the (h, w) of the upright image. JPEGs are decoded at
            1/2, 1/4 or 1/8 of their size if they are not reduced by more than that.

    Raises:
        ImageError: The file is missing, damaged, too large or not an image, or its
            values have no defined range.
        OSError: The machine or its storage failed.
    """
    with _naming(path):
        return _decode(_content(path), max_reduction)


def decode_image(
    content: bytes, name: str, max_reduction: Reduction = unreduced
) -> np.ndarray:
    """Like :func:`read_image`, for the content of a file called ``name``."""
    with _naming(name):
        return _decode(content, max_reduction)


def image_shape(path: str | os.PathLike) -> tuple[int, int]:
    """Return (h, w) like :func:`read_image`, with its errors, but without decoding."""
    with _naming(path), _open(_content(path)) as (_, shape, _):
        return shape


def read_batches(
    images: Iterable[str | os.PathLike | np.ndarray | Image.Image],
    size: tuple[int, int],
    batch_size: int = 64,
) -> Iterator[Tensor]:
    """Read and resize images, the next batch while the caller works on one.

    There are as many threads as PyTorch uses, at most ``MAX_READERS``.

    Args:
        images: Files, RGB images, uint8 [H, W, 3], or Pillow's, of any sizes.
        size: (h, w) in pixels.
        batch_size: Number of images per batch; the last one may have fewer.

    Yields:
        uint8 [B, 3, h, w].

    Raises:
        ImageError: If a file cannot be read.
        TypeError: If an element is not an image.
    """
    pool = ThreadPoolExecutor(min(torch.get_num_threads(), MAX_READERS))
    numbered = enumerate(images)

    def load(index: int, image: object) -> Tensor:
        return resize(to_tensor(_to_array(image, index)), size)

    def start() -> list[Future]:
        return [pool.submit(load, *each) for each in islice(numbered, batch_size)]

    try:
        following = start()
        while batch := following:
            following = start()
            yield torch.stack([image.result() for image in batch])
    finally:
        pool.shutdown(cancel_futures=True)


def _to_array(image: object, index: int) -> np.ndarray:
    if isinstance(image, str | os.PathLike):
        return read_image(image)
    if isinstance(image, Image.Image):
        with _naming(f'images[{index}]'):
            image = np.array(_to_rgb(image))
    shape, dtype = np.shape(image), getattr(image, 'dtype', None)
    if dtype == np.uint8 and len(shape) == 3 and shape[2] == 3 and image.size:
        return image
    found = f'{dtype} {list(shape)}' if dtype else type(image).__name__
    raise TypeError(
        f'images[{index}] is neither a file nor an RGB image, uint8 [h, w, 3], but '
        f'{found}'
    )


def to_tensor(image: np.ndarray) -> Tensor:
    """Convert uint8 ``[h, w, 3]`` to uint8 ``[3, h, w]``."""
    return torch.from_numpy(contiguous(image)).permute(2, 0, 1)


def contiguous(image: np.ndarray) -> np.ndarray:
    """The image in row-major order and writable, as PyTorch and OpenCV need it."""
    # NumPy regards axes of length 1 as contiguous, even with a negative stride.
    return image.copy() if min(image.strides) < 0 else np.require(image, None, 'CW')


def resize(images: Tensor, size: Sequence[int]) -> Tensor:
    """Resize ``[..., 3, h, w]`` to ``(height, width)``: bicubic, antialiased.

    Floats may leave the range of ``images``; uint8 saturates.
    """
    return tvf.resize(images, list(size), InterpolationMode.BICUBIC, antialias=True)


def normalize(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Normalize images, in the dtype and on the device of the mean.

    Args:
        images: ``[..., 3, h, w]``, 0–255, of any dtype.
        mean: ``[3, 1, 1]``, 0–255.
        std: ``[3, 1, 1]``.
    """
    return (images.to(mean) - mean) / std


def encode_image(image: np.ndarray) -> bytes:
    """Encode an RGB image, uint8 ``[H, W, 3]``, as PNG."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, 'PNG')
    return file.getvalue()


def _content(path: str | os.PathLike) -> bytes:
    status = os.stat(path)
    if stat.S_ISFIFO(status.st_mode) or stat.S_ISCHR(status.st_mode):
        # Reading may never end.
        raise ImageError('is a pipe or a device, not a file; remove it')
    if stat.S_ISDIR(status.st_mode):
        raise ImageError('is a folder; give the files in it')
    if status.st_size > MAX_BYTES:
        raise ImageError(
            f'{status.st_size:,} bytes exceed the limit of {MAX_BYTES:,}; shrink the '
            'image or remove it'
        )
    return Path(path).read_bytes()


@contextmanager
def _naming(name: str | os.PathLike) -> Iterator[None]:
    """Turn exceptions of decoders into those of :func:`read_image`."""
    try:
        yield
    except Exception as error:  # Pillow raises any type on damaged files
        raise_if_outage(error, name)
        if isinstance(error, ImageError):
            reason = str(error)
        elif isinstance(error, FileNotFoundError):
            reason = 'no such file; correct the path or remove the entry'
        elif isinstance(error, UnidentifiedImageError):
            reason = (
                'not an image, empty, or of a format that Pillow does not support; '
                'convert it to JPEG or PNG, or remove it'
            )
        elif isinstance(error, Image.DecompressionBombError):
            reason = f'{error}; shrink the image or remove it'
        else:
            reason = (
                f'cannot be read ({type(error).__name__}: {error}); replace the file '
                'or remove it'
            )
        raise ImageError(f'{name}: {reason}') from error


@contextmanager
def _open(
    content: bytes,
) -> Iterator[tuple[Image.Image, tuple[int, int], int | None]]:
    """Yield an image, its (h, w) once upright, and its EXIF orientation."""
    content, orientation = drop_metadata(content)
    with Image.open(io.BytesIO(content)) as image:
        if image.format == 'EPS':  # a program, run by Ghostscript
            raise ImageError('is PostScript; convert it to PNG or remove it')
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise ImageError(
                f'{width}×{height} pixels exceed the limit of {MAX_PIXELS:,}; shrink '
                'the image or remove it'
            )
        if orientation is None:  # formats whose metadata Pillow parses safely
            exif = image.info.get('exif', b'').removeprefix(b'Exif\0\0')
            orientation = exif_orientation(exif)
        transposed = orientation in (5, 6, 7, 8)
        shape = (width, height) if transposed else (height, width)
        yield image, shape, orientation


def _decode(content: bytes, max_reduction: Reduction) -> np.ndarray:
    with _open(content) as (image, shape, orientation):
        factor = max_reduction(shape)
        image.draft(None, [math.ceil(side / factor) for side in image.size])
        image.info.pop('xmp', None)
        if image.format == 'TIFF':  # Pillow applies its orientation when loading
            exif = image.getexif()
            for directory in ExifTags.IFD:
                exif.pop(directory, None)
        image.load()
        return _apply_orientation(np.array(_to_rgb(image)), orientation)


def _apply_orientation(image: np.ndarray, orientation: int | None) -> np.ndarray:
    """Apply an EXIF orientation: 5 to 8 transpose, then 2 to 8 mirror."""
    if orientation in (5, 6, 7, 8):
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return contiguous(image)


def _to_rgb(image: Image.Image) -> Image.Image:
    # Pillow returns 16-bit PGM as 32-bit values.
    if image.mode.startswith('I;16') or (image.mode, image.format) == ('I', 'PPM'):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ('I', 'F'):
        raise ImageError(
            f'32 bits per value ({image.format}, mode {image.mode}) have no defined '
            'range from black to white; convert the image to 8 or 16 bits'
        )
    if not image.has_transparency_data:
        return image.convert('RGB')
    image = image.convert('RGBA')
    background = Image.new('RGBA', image.size, BACKGROUND)
    return Image.alpha_composite(background, image).convert('RGB')
