"""Image files of any kind as RGB arrays."""

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from .metadata import drop_metadata, exif_orientation, has_metadata

MAX_PIXELS = 50_000_000  # more would take seconds and hundreds of megabytes
BACKGROUND = (128, 128, 128)  # behind transparent pixels: neither dark nor light

# The machine fails, or its storage: nothing is known of the image.
_OUTAGES = {
    getattr(errno, name)
    for name in (
        *('EMFILE', 'ENFILE', 'ENOMEM', 'ESTALE', 'ENOTCONN', 'ETIMEDOUT'),
        *('ECONNABORTED', 'ECONNREFUSED', 'ECONNRESET', 'EHOSTDOWN', 'EHOSTUNREACH'),
        *('ENETDOWN', 'ENETUNREACH'),
    )
}


class ImageError(OSError):
    """An image that cannot be used; the message names its file and the remedy."""


def refuse_outage(error: Exception, name: str | os.PathLike) -> None:
    """Raise an error that is no fault of the image ``name`` that was to be read.

    Raises:
        OSError: If the machine or its storage has failed.
    """
    if isinstance(error, OSError) and error.errno in _OUTAGES:
        raise OSError(
            error.errno,
            f'{os.strerror(error.errno)} (of this machine or its storage; rerun the '
            'command when that is mended, to resume)',
            os.fspath(name),
        ) from error


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Read an image file as it is meant to be seen.

    The image is turned upright by its EXIF orientation, which is read as OpenCV reads
    it, so that boxes lie as in MMDetection. OpenCV 4.12 obeys it in JPEG, PNG and TIFF
    (it cannot read TIFF with orientations 5 to 8), OpenCV 4.13 in WebP as well. The
    rotation that an AVIF file asks its decoder for is obeyed here; OpenCV leaves it
    out. XMP and all other metadata are ignored, damaged or not.

    Transparent pixels are blended with mid-gray (``BACKGROUND``). Of 16 bits per value
    the high byte is taken, so the whole range is kept. CMYK becomes RGB without a color
    profile; in a JPEG its inks are taken to be inverted, as all programs write them. Of
    an animation or a file of several pages the first image is taken.

    Returns:
        RGB image, uint8 ``[H, W, 3]``.

    Raises:
        ImageError: If the file does not exist, it is no image, it is truncated or
            damaged, it is far too large, or its values have no defined range.
        OSError: If the machine or its storage has failed.
    """
    with _naming(path), open(path, 'rb') as file:
        return _decode(file)


def decode_image(content: bytes, name: str) -> np.ndarray:
    """Like :func:`read_image`, from the content of a file called ``name``."""
    with _naming(name):
        return _decode(io.BytesIO(content))


def encode_image(image: np.ndarray) -> bytes:
    """A file of an image, RGB uint8 ``[H, W, 3]``, without loss (PNG)."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, 'PNG')
    return file.getvalue()


@contextmanager
def _naming(name: str | os.PathLike) -> Iterator[None]:
    """Turn errors of reading an image into those of :func:`read_image`."""
    try:
        yield
    except ImageError as error:
        raise ImageError(f'{name}: {error}') from None
    except FileNotFoundError as error:
        raise ImageError(
            f'{name}: no such file; correct the path, or remove the entry'
        ) from error
    except UnidentifiedImageError as error:
        raise ImageError(
            f'{name}: not an image, or of a kind that Pillow does not know; '
            'convert it to JPEG or PNG, or remove it'
        ) from error
    except Image.DecompressionBombError as error:
        raise ImageError(f'{name}: {error}; shrink the image, or remove it') from error
    except Exception as error:  # Pillow's decoders raise any type on damaged files
        refuse_outage(error, name)
        reason = f'{type(error).__name__}: {error}'
        raise ImageError(
            f'{name}: cannot be read ({reason}); replace the file, or remove it'
        ) from error


def _decode(file: BinaryIO) -> np.ndarray:
    orientation = None
    if has_metadata(file.read(32)):
        file.seek(0)
        content, orientation = drop_metadata(file.read())
        file = io.BytesIO(content)
    file.seek(0)
    with Image.open(file) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise ImageError(
                f'{width}×{height} pixels are more than {MAX_PIXELS:,}; shrink the '
                'image, or remove it'
            )
        _forget_metadata(image)
        image.load()
        if orientation is None:  # of kinds whose metadata Pillow reads without harm
            exif = image.info.get('exif', b'').removeprefix(b'Exif\0\0')
            orientation = exif_orientation(exif)
        return _turn(np.array(_to_rgb(image)), orientation)


def _forget_metadata(image: Image.Image) -> None:
    """Leave a TIFF's own orientation alone to Pillow, which turns it when it loads."""
    image.info.pop('xmp', None)
    if image.format == 'TIFF':
        exif = image.getexif()
        for directory in ExifTags.IFD:
            exif.pop(directory, None)


def _turn(image: np.ndarray, orientation: int | None) -> np.ndarray:
    """Undo an EXIF orientation: 2 to 4 mirror or rotate, 5 to 8 swap sides first."""
    if orientation in (5, 6, 7, 8):
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith('I;16') or _is_16_bit_in_32(image):
        values = np.asarray(image)
        image = Image.fromarray((values >> 8).astype(np.uint8))
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


def _is_16_bit_in_32(image: Image.Image) -> bool:
    """Whether 16-bit values came as 32-bit ones, as of PGM, and in Pillow < 11 of PNG.

    Pillow scales what it reads from these formats to 0 … 65535.
    """
    return image.mode == 'I' and image.format in ('PNG', 'PPM')
