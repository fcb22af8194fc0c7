"""read_image against arrays with known values, and against OpenCV."""

import cv2
import numpy as np
import pytest
from PIL import Image

from saip_mm.data.images import ImageError, read_image

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
    image.save(path, **options)
    return path


@pytest.mark.parametrize('kind', ['png', 'bmp', 'tif', 'webp', 'ppm', 'gif', 'jp2'])
def test_gray_and_rgb_of_lossless_formats_are_exact(tmp_path, kind):
    options = dict(lossless=True) if kind == 'webp' else {}
    path = saved(tmp_path / f'gray.{kind}', Image.fromarray(GRAY), **options)
    np.testing.assert_array_equal(read_image(path), three(GRAY))
    if kind != 'gif':  # a GIF has at most 256 colors
        path = saved(tmp_path / f'rgb.{kind}', Image.fromarray(RGB), **options)
        image = read_image(path)
        np.testing.assert_array_equal(image, RGB)
        assert image.dtype == np.uint8
        assert image.flags.writeable


def test_transparent_pixels_are_blended_with_gray(tmp_path):
    rgba = Image.fromarray(np.dstack([RGB, ALPHA]))
    image = read_image(saved(tmp_path / 'rgba.png', rgba))
    np.testing.assert_allclose(image, over_gray(RGB, ALPHA), atol=1)
    la = Image.fromarray(np.dstack([GRAY, ALPHA]))
    image = read_image(saved(tmp_path / 'la.png', la))
    np.testing.assert_allclose(image, over_gray(three(GRAY), ALPHA), atol=1)


def test_one_color_can_be_transparent(tmp_path):
    rgb, gray = RGB.copy(), GRAY.copy()
    rgb[2, 3], gray[2, 3] = (1, 2, 3), 7
    path = tmp_path / 'rgb.png'
    saved(path, Image.fromarray(rgb), transparency=(1, 2, 3))
    expected = np.where((rgb == (1, 2, 3)).all(-1, keepdims=True), 128, rgb)
    np.testing.assert_array_equal(read_image(path), expected)
    path = saved(tmp_path / 'gray.png', Image.fromarray(gray), transparency=7)
    expected = three(np.where(gray == 7, 128, gray))
    np.testing.assert_array_equal(read_image(path), expected)


@pytest.mark.parametrize('kind', ['png', 'gif', 'tif'])
def test_palette(tmp_path, kind):
    indices = RNG.integers(0, 4, (6, 9), dtype=np.uint8)
    colors = np.array([(9, 8, 7), (250, 1, 30), (0, 99, 0), (17, 18, 19)], np.uint8)
    image = Image.fromarray(indices)
    image.putpalette(colors.tobytes())
    assert image.mode == 'P'
    path = saved(tmp_path / f'plain.{kind}', image)
    np.testing.assert_array_equal(read_image(path), colors[indices])
    if kind != 'tif':
        path = saved(tmp_path / f'clear.{kind}', image, transparency=2)
        colors[2] = 128
        np.testing.assert_array_equal(read_image(path), colors[indices])


def test_palette_with_half_transparent_entries(tmp_path):
    indices = np.array([[0, 1, 2]], np.uint8)
    image = Image.fromarray(indices)
    image.putpalette([200, 100, 0, 10, 20, 30, 0, 0, 0])
    path = saved(tmp_path / 'a.png', image, transparency=bytes([255, 0, 51]))
    expected = [[(200, 100, 0), (128, 128, 128), (102, 102, 102)]]
    np.testing.assert_allclose(read_image(path), expected, atol=1)


def test_one_bit(tmp_path):
    bits = GRAY > 127
    for kind in ('png', 'tif', 'pbm', 'bmp'):
        path = saved(tmp_path / f'bits.{kind}', Image.fromarray(bits))
        np.testing.assert_array_equal(read_image(path), three(bits * np.uint8(255)))


@pytest.mark.parametrize('kind', ['png', 'tif', 'pgm'])
def test_16_bit_gray_is_scaled(tmp_path, kind):
    path = tmp_path / f'deep.{kind}'
    cv2.imwrite(str(path), DEEP[..., 0])
    np.testing.assert_array_equal(read_image(path), three(DEEP[..., 0] // 256))


def test_16_bit_tiff_of_the_other_byte_order(tmp_path):
    path = saved(tmp_path / 'a.tif', Image.fromarray(DEEP[..., 0].astype('>u2')))
    np.testing.assert_array_equal(read_image(path), three(DEEP[..., 0] // 256))


@pytest.mark.parametrize('kind', ['png', 'tif', 'ppm'])
def test_16_bit_color_is_scaled(tmp_path, kind):
    path = tmp_path / f'deep.{kind}'
    cv2.imwrite(str(path), DEEP[..., ::-1])
    difference = read_image(path) - DEEP / 257
    assert np.abs(difference).max() <= 1  # 257 takes 65535 to 255


def test_jpegs_agree_with_opencv(tmp_path):
    for name, image in (('rgb', PHOTO), ('gray', PHOTO[..., 0])):
        path = saved(tmp_path / f'{name}.jpg', Image.fromarray(image))
        expected = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
        assert np.abs(read_image(path) - expected.astype(int)).max() <= 3


def cmyk_of(rgb):
    """Full undercolor removal: black is what the three inks have in common."""
    ink = 1 - rgb / 255
    black = ink.min(-1, keepdims=True)
    inks = (ink - black) / np.maximum(1 - black, 1e-6)
    return np.round(255 * np.concatenate([inks, black], -1)).astype(np.uint8)


def test_cmyk(tmp_path):
    cmyk = Image.frombytes('CMYK', (9, 6), cmyk_of(RGB).tobytes())
    image = read_image(saved(tmp_path / 'a.tif', cmyk))
    np.testing.assert_allclose(image, RGB, atol=2)


def test_cmyk_jpegs(tmp_path):
    """Inverted inks, as Adobe writes them, and all decoders expect them."""
    cmyk = Image.frombytes('CMYK', PHOTO.shape[1::-1], cmyk_of(PHOTO).tobytes())
    path = saved(tmp_path / 'adobe.jpg', cmyk, quality=100)
    data = path.read_bytes()
    start = data.index(b'\xff\xee\x00\x0eAdobe')
    assert np.abs(read_image(path) - PHOTO.astype(int)).mean() < 2

    (tmp_path / 'stripped.jpg').write_bytes(data[:start] + data[start + 16 :])
    image = read_image(tmp_path / 'stripped.jpg')
    assert np.abs(image - PHOTO.astype(int)).mean() < 2

    ycck = data[: start + 15] + b'\x02' + data[start + 16 :]  # other colors, then
    path = tmp_path / 'ycck.jpg'
    path.write_bytes(ycck)
    expected = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    assert np.abs(read_image(path) - expected.astype(int)).mean() < 2


@pytest.mark.parametrize('kind', ['png', 'jpg', 'tif', 'webp'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_exif_orientations(tmp_path, kind, orientation):
    """The tag says where row 0 and column 0 of the file are seen (EXIF 2.3, 4.6.4)."""
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
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / f'a.{kind}', Image.fromarray(file.copy()), exif=exif)
    image = read_image(path)
    assert image.shape == seen.shape
    assert np.abs(image - seen.astype(int)).mean() < 2
    oracle = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if kind == 'jpg':
        assert np.abs(oracle - image.astype(int)).mean() < 2


def test_first_image_of_an_animation(tmp_path):
    frames = [Image.fromarray(np.full((4, 4), v, np.uint8)) for v in (10, 200)]
    path = saved(tmp_path / 'a.gif', frames[0], save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image(path), np.full((4, 4, 3), 10))


@pytest.mark.parametrize('dtype', ['int32', 'float32'])
def test_values_without_a_range_are_refused(tmp_path, dtype):
    path = saved(tmp_path / 'deep.tif', Image.fromarray(GRAY.astype(dtype)))
    with pytest.raises(ImageError, match=r'deep\.tif: 32 bits .* convert'):
        read_image(path)


def test_damaged_and_absent_files(tmp_path):
    path = saved(tmp_path / 'broken.png', Image.fromarray(PHOTO))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r'broken\.png: cannot be read'):
        read_image(path)
    (tmp_path / 'text.jpg').write_text('no picture')
    with pytest.raises(ImageError, match=r'text\.jpg: not an image'):
        read_image(tmp_path / 'text.jpg')
    with pytest.raises(ImageError, match=r'absent\.jpg: no such file'):
        read_image(tmp_path / 'absent.jpg')
    with pytest.raises(ImageError, match='IsADirectoryError'):
        read_image(tmp_path)
