"""Image files of any kind as RGB arrays."""

import errno
import io
import os

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

EXTENSIONS = ('.jpg', '.jpeg', '.jfif', '.png', '.webp', '.bmp', '.gif', '.tif')
EXTENSIONS += ('.tiff', '.jp2', '.ppm', '.pgm', '.pbm')
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
    """Raise an error that is no fault of the image that was to be read.

    Args:
        error: What reading it raised.
        name: What messages call the image.

    Raises:
        OSError: If the machine or its storage has failed.
    """
    if isinstance(error, OSError) and error.errno in _OUTAGES:
        raise OSError(
            error.errno,
            f'{os.strerror(error.errno)} (of this machine or its storage; when that is '
            'mended, what was begun can go on)',
            os.fspath(name),
        ) from error


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Read an image file as it is meant to be seen.

    The image is turned upright by its EXIF tag. Transparent pixels are blended with
    mid-grey (``BACKGROUND``). Of 16 bits per value the high byte is taken, so the whole
    range is kept. CMYK becomes RGB without a colour profile; in a JPEG its inks are
    taken to be inverted, as all programs write them. Of an animation or a file of
    several pages the first image is taken.

    Args:
        path: File that Pillow can open.

    Returns:
        RGB image, uint8 ``[H, W, 3]``.

    Raises:
        ImageError: If there is no such file, it is no image, it is truncated or
            damaged, it is far too large, or its values have no defined range.
        OSError: If the machine or its storage has failed.
    """
    return _decode(path, path)


def decode_image(content: bytes, name: str) -> np.ndarray:
    """The image that :func:`read_image` reads from a file with such a content.

    Args:
        content: Bytes of the file.
        name: What messages call it.

    Raises:
        ImageError: If it cannot be used.
    """
    return _decode(io.BytesIO(content), name)


def encode_image(image: np.ndarray) -> bytes:
    """A file of an image, without loss (PNG).

    Args:
        image: RGB, uint8 ``[H, W, 3]``.
    """
    file = io.BytesIO()
    Image.fromarray(image).save(file, 'PNG')
    return file.getvalue()


def _decode(
    file: str | os.PathLike | io.BytesIO, name: str | os.PathLike
) -> np.ndarray:
    try:
        with Image.open(file) as image:
            _refuse_huge(image)
            ImageOps.exif_transpose(image, in_place=True)
            return np.array(_to_rgb(image))
    except ImageError as error:
        raise ImageError(f'{name}: {error}') from None
    except FileNotFoundError as error:
        raise ImageError(
            f'{name}: there is no such file; correct the path, or remove the entry'
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


def find_images(folder: str) -> list[str]:
    """List the images of a folder and all folders below, hidden ones left out.

    Links are followed; a folder that is reached twice is listed once.

    Args:
        folder: Folder to search for files with one of ``EXTENSIONS``.

    Returns:
        Paths relative to the folder, in a fixed order.

    Raises:
        OSError: If the folder does not exist, holds no image, or cannot be listed.
    """
    if not os.path.isdir(folder):
        raise NotADirectoryError(f'{folder}: there is no such folder of images')
    images, others, seen = [], 0, set()
    for path, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        if (real := os.path.realpath(path)) in seen:
            folders.clear()  # else a link to a folder above it would never end
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if name[0] != '.')
        below = os.path.relpath(path, folder) + os.sep if path != folder else ''
        found = [
            below + name
            for name in sorted(files)
            if name[0] != '.' and name.lower().endswith(EXTENSIONS)
        ]
        images += found
        others += len(files) - len(found)
    if not images:
        raise FileNotFoundError(
            f'{folder}: no images in it or in a folder below; looked for '
            f'{" ".join(EXTENSIONS)}, and found {others} other files'
        )
    return images


def _refuse_huge(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(
            f'{width}×{height} pixels are more than {MAX_PIXELS:,}; shrink the image, '
            'or remove it'
        )


def _refuse(error: OSError) -> None:
    raise PermissionError(
        f'{error.filename}: cannot be listed ({error.strerror}); make the folder '
        'readable, or take it away'
    ) from error


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
