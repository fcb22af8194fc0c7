"""read_image against known pixels and against OpenCV."""

import os
import threading

import cv2
import numpy as np
import pytest
from image_files import oriented
from PIL import Image

from saip_mm.data.images import (
    ImageError,
    contiguous,
    image_shape,
    read_image,
    to_tensor,
)

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (6, 9), dtype=np.uint8)
RGB = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (6, 9), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (6, 9, 3), dtype=np.uint16)
PHOTO = cv2.resize(RGB, (96, 64), interpolation=cv2.INTER_CUBIC)  # smooth, for JPEG


def three(gray):
    return np.repeat(gray[..., None], 3, axis=2)


def over_gray(color, alpha):
    """Blend with the value 128, in floating point."""
    share = alpha[..., None] / 255
    return color * share + 128 * (1 - share)


def saved(path, image, **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(path, **options)
    return path


def by_opencv(path):
    return cv2.imread(str(path), cv2.IMREAD_COLOR_RGB).astype(int)


@pytest.mark.parametrize('kind', ['png', 'bmp', 'tif', 'webp', 'ppm', 'gif', 'jp2'])
def test_lossless_gray_and_rgb_are_exact(tmp_path, kind):
    options = dict(lossless=True) if kind == 'webp' else {}
    path = saved(tmp_path / f'gray.{kind}', GRAY, **options)
    np.testing.assert_array_equal(read_image(path), three(GRAY))
    if kind != 'gif':  # a GIF has at most 256 colors
        image = read_image(saved(tmp_path / f'rgb.{kind}', RGB, **options))
        np.testing.assert_array_equal(image, RGB)
        assert image.dtype == np.uint8
        assert image.flags.writeable
        image.setflags(write=False)
        assert contiguous(image).flags.writeable


def test_transparent_pixels_are_blended_with_gray(tmp_path):
    image = read_image(saved(tmp_path / 'rgba.png', np.dstack([RGB, ALPHA])))
    np.testing.assert_allclose(image, over_gray(RGB, ALPHA), atol=1)
    image = read_image(saved(tmp_path / 'la.png', np.dstack([GRAY, ALPHA])))
    np.testing.assert_allclose(image, over_gray(three(GRAY), ALPHA), atol=1)
    rgb, gray = RGB.copy(), GRAY.copy()
    rgb[2, 3], gray[2, 3] = (1, 2, 3), 7
    path = saved(tmp_path / 'rgb.png', rgb, transparency=(1, 2, 3))
    expected = np.where((rgb == (1, 2, 3)).all(-1, keepdims=True), 128, rgb)
    np.testing.assert_array_equal(read_image(path), expected)
    path = saved(tmp_path / 'gray.png', gray, transparency=7)
    expected = three(np.where(gray == 7, 128, gray))
    np.testing.assert_array_equal(read_image(path), expected)


@pytest.mark.parametrize('kind', ['png', 'gif', 'tif'])
def test_palette(tmp_path, kind):
    indices = RNG.integers(0, 3, (6, 9), dtype=np.uint8)
    colors = np.array([(200, 100, 0), (10, 20, 30), (0, 99, 0)], np.uint8)
    image = Image.fromarray(indices)
    image.putpalette(colors.tobytes())
    assert image.mode == 'P'
    path = saved(tmp_path / f'plain.{kind}', image)
    np.testing.assert_array_equal(read_image(path), colors[indices])
    if kind == 'gif':
        path = saved(tmp_path / 'clear.gif', image, transparency=1)
        colors[1] = 128
    if kind == 'png':
        path = saved(tmp_path / 'clear.png', image, transparency=bytes([255, 0, 51]))
        colors[1:] = [(128, 128, 128), (102, 122, 102)]  # opaque by 0 and 0.2
    np.testing.assert_allclose(read_image(path), colors[indices], atol=1)


@pytest.mark.parametrize('kind', ['png', 'tif', 'pbm', 'bmp'])
def test_one_bit(tmp_path, kind):
    path = saved(tmp_path / f'bits.{kind}', GRAY > 127)
    np.testing.assert_array_equal(read_image(path), three((GRAY > 127) * np.uint8(255)))


@pytest.mark.parametrize('kind', ['png', 'tif', 'pgm', 'ppm'])
def test_16_bits_are_scaled(tmp_path, kind):
    path = tmp_path / f'deep.{kind}'
    if kind != 'ppm':
        cv2.imwrite(str(path), DEEP[..., 0])
        np.testing.assert_array_equal(read_image(path), three(DEEP[..., 0] // 256))
    if kind != 'pgm':
        cv2.imwrite(str(path), DEEP[..., ::-1])
        assert np.abs(read_image(path) - DEEP / 257).max() <= 1  # 65535 / 257 = 255
    if kind == 'tif':  # of the other byte order
        path = saved(tmp_path / 'big.tif', DEEP[..., 0].astype('>u2'))
        np.testing.assert_array_equal(read_image(path), three(DEEP[..., 0] // 256))


def test_jpegs_match_opencv(tmp_path):
    for image in (PHOTO, PHOTO[..., 0]):
        path = saved(tmp_path / 'a.jpg', image)
        assert np.abs(read_image(path) - by_opencv(path)).max() <= 3


def cmyk_of(rgb):
    """Convert with full undercolor removal: black is common to the three inks."""
    ink = 1 - rgb / 255
    black = ink.min(-1, keepdims=True)
    inks = (ink - black) / np.maximum(1 - black, 1e-6)
    cmyk = np.round(255 * np.concatenate([inks, black], -1)).astype(np.uint8)
    return Image.frombytes('CMYK', rgb.shape[1::-1], cmyk.tobytes())


def test_cmyk(tmp_path):
    """JPEGs have inverted inks, as Adobe writes and all decoders expect them."""
    image = read_image(saved(tmp_path / 'a.tif', cmyk_of(RGB)))
    np.testing.assert_allclose(image, RGB, atol=2)
    path = saved(tmp_path / 'a.jpg', cmyk_of(PHOTO), quality=100)
    data = path.read_bytes()
    start = data.index(b'\xff\xee\x00\x0eAdobe')
    assert np.abs(read_image(path) - PHOTO.astype(int)).mean() < 2
    path.write_bytes(data[:start] + data[start + 16 :])  # without Adobe's segment
    assert np.abs(read_image(path) - PHOTO.astype(int)).mean() < 2
    path.write_bytes(data[: start + 15] + b'\x02' + data[start + 16 :])  # as YCCK
    assert np.abs(read_image(path) - by_opencv(path)).mean() < 2


@pytest.mark.parametrize('kind', ['png', 'jpg', 'tif', 'webp'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_exif_orientations(tmp_path, kind, orientation):
    """The tag defines where row 0 and column 0 are displayed (EXIF 2.3, 4.6.4)."""
    seen = np.zeros((64, 96, 3), np.uint8)
    seen[:32, :48], seen[:32, 48:], seen[32:, :48] = 250, 160, 70  # white top left
    file = {
        1: seen,
        2: seen[:, ::-1],
        3: seen[::-1, ::-1],
        4: seen[::-1],
        5: seen.transpose(1, 0, 2),
        6: np.rot90(seen, 1),  # row 0 is the right side
        7: seen[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(seen, -1),  # row 0 is the left side
    }[orientation]
    path = saved(tmp_path / f'a.{kind}', file.copy(), exif=oriented(orientation))
    image = read_image(path)
    assert (*image_shape(path), 3) == image.shape == seen.shape
    assert np.abs(image - seen.astype(int)).mean() < 2
    if kind == 'jpg':
        assert np.abs(by_opencv(path) - image).mean() < 2


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('shape', [(1, 40, 3), (40, 1, 3)])
def test_one_row_or_column_in_any_orientation(tmp_path, shape, orientation):
    line = np.arange(120, dtype=np.uint8).reshape(shape)
    image = read_image(saved(tmp_path / 'a.png', line, exif=oriented(orientation)))
    assert np.array_equal(to_tensor(image).permute(1, 2, 0), image)
    reverse = orientation in ((2, 3, 7, 8) if shape[0] == 1 else (3, 4, 6, 7))
    expected = line.reshape(-1, 3)[:: -1 if reverse else 1]
    assert np.array_equal(image.reshape(-1, 3), expected)


@pytest.mark.parametrize('mode', ['RGB', 'L', 'CMYK'])
@pytest.mark.parametrize(
    ('allowed', 'factor'), [(0.3, 1), (1.999, 1), (2.1, 2), (7, 4), (99, 8)]
)
def test_jpegs_are_decoded_at_a_fraction_of_their_size(tmp_path, mode, allowed, factor):
    """A scaled DCT is close to the mean of the pixels that become one."""
    smooth = cv2.resize(PHOTO, (203, 301), interpolation=cv2.INTER_CUBIC)
    image = cmyk_of(smooth) if mode == 'CMYK' else Image.fromarray(smooth).convert(mode)
    path, shapes = saved(tmp_path / 'a.jpg', image, exif=oriented(6)), []  # rotated
    reduced = read_image(path, lambda shape: shapes.append(shape) or allowed)
    assert shapes == [(203, 301)]
    file = Image.fromarray(np.rot90(read_image(path)))
    expected = np.rot90(np.array(file.reduce(factor), int), -1)
    assert reduced.shape == expected.shape
    assert np.abs(reduced - expected).mean() <= (factor > 1)
    image.convert('RGB').save(tmp_path / 'a.png')
    assert read_image(tmp_path / 'a.png', lambda shape: allowed).shape == (301, 203, 3)


def test_first_image_of_an_animation(tmp_path):
    frames = [Image.fromarray(np.full((4, 4), v, np.uint8)) for v in (10, 200)]
    path = saved(tmp_path / 'a.gif', frames[0], save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image(path), np.full((4, 4, 3), 10))


@pytest.mark.parametrize('dtype', ['int32', 'float32'])
def test_values_without_a_range(tmp_path, dtype):
    path = saved(tmp_path / 'deep.tif', GRAY.astype(dtype))
    with pytest.raises(ImageError, match=r'deep\.tif: 32 bits .* convert'):
        read_image(path)


def test_errors(tmp_path):
    data = bytearray(saved(tmp_path / 'broken.png', PHOTO).read_bytes())
    data[len(data) // 2] ^= 255
    (tmp_path / 'broken.png').write_bytes(data)
    (tmp_path / 'text.jpg').write_text('no picture')
    Image.new('RGB', (20, 10)).save(tmp_path / 'program.jpg', 'EPS')
    for name, message in (
        ('broken.png', r'broken\.png: cannot be read'),
        ('text.jpg', r'text\.jpg: not an image'),
        ('program.jpg', r'program\.jpg: is PostScript'),
        ('absent.jpg', r'absent\.jpg: no such file'),
        ('', 'is a folder; give the files'),
    ):
        with pytest.raises(ImageError, match=message):
            read_image(tmp_path / name)
    assert image_shape(tmp_path / 'broken.png') == (64, 96)  # decodes nothing


def test_pipes_and_devices_are_not_read(tmp_path):
    """Reading from /dev/zero, or from a pipe to which nobody writes, never ends."""
    pipe, device = tmp_path / 'pipe.jpg', tmp_path / 'device.jpg'
    device.symlink_to('/dev/null')
    os.mkfifo(pipe)
    # Would end the reading.
    threading.Thread(target=pipe.write_bytes, args=[b''], daemon=True).start()
    for path in (device, pipe):
        for read in (read_image, image_shape):
            with pytest.raises(ImageError, match=rf'{path}: is a pipe or a device'):
                read(path)


def test_files_that_would_fill_the_memory_are_not_read(tmp_path):
    with open(tmp_path / 'huge.jpg', 'wb') as file:
        file.truncate((1 << 30) + 1)  # takes no space
    with pytest.raises(ImageError, match=r'huge.jpg: 1,073,741,825 bytes exceed'):
        read_image(tmp_path / 'huge.jpg')
