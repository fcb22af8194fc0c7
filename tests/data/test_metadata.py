"""Damaged metadata are harmless; orientations match OpenCV."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from saip_mm.data.images import decode_image, read_image

# Smooth, for JPEG, and without symmetry.
PIXELS = np.add.outer(np.arange(48) * 2, np.arange(64) * 3)[..., None] % 256
PIXELS = np.uint8(PIXELS * (1, 0.6, 0.3))
XMP = b'<x:xmpmeta><tiff:Orientation>6</tiff:Orientation></x:xmpmeta>'


def encoded(kind, **options):
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, kind, **options)
    return file.getvalue()


def exif(orientation, kind='H', order='>', count=1, more=b''):
    """Return EXIF data with an orientation of some type, after other tags."""
    value = struct.pack(order + kind, orientation).ljust(4, b'\0')
    code = dict(H=3, I=4)[kind]
    header = dict(zip('<>', (b'II*\0', b'MM\0*'), strict=True))[order]
    header += struct.pack(order + 'IH', 8, count)
    return header + more + struct.pack(order + 'HHI', 0x112, code, 1) + value


def tag(number, kind, value):
    return struct.pack('>HHII', number, kind, 1, value)


def chunk(name, body, checksum=None):
    checksum = zlib.crc32(name + body) if checksum is None else checksum
    return struct.pack('>I', len(body)) + name + body + struct.pack('>I', checksum)


def png(*chunks, before=b'IDAT'):
    content = encoded('PNG')
    at = content.index(before) - 4
    return content[:at] + b''.join(chunks) + content[at:]


def jpeg(*segments):
    content = encoded('JPEG')
    more = b''.join(
        b'\xff' + bytes([marker]) + struct.pack('>H', len(body) + 2) + body
        for marker, body in segments
    )
    return content[:2] + more + content[2:]


def app1(body):
    return 0xE1, b'Exif\0\0' + body


TEXT = b'Comment\0' + bytes(3 << 20)
PACKED = b'Comment\0\0' + zlib.compress(bytes(100 << 20))
PROFILE = b'Raw profile type exif\0\nexif\n      34\n' + exif(6).hex().encode()
FILES = {
    'png-exif': png(chunk(b'eXIf', exif(6))),
    'png-exif-last': png(chunk(b'eXIf', exif(6)), before=b'IEND'),
    'png-exif-no-tiff': png(chunk(b'eXIf', b'no TIFF header')),
    'png-exif-as-text': png(chunk(b'tEXt', b'exif\0' + exif(6))),
    'png-exif-of-imagemagick': png(chunk(b'tEXt', PROFILE)),
    'png-xmp': png(chunk(b'iTXt', b'XML:com.adobe.xmp\0\0\0\0\0' + XMP)),
    'png-long-text': png(chunk(b'tEXt', TEXT)),
    'png-packed-text': png(chunk(b'zTXt', PACKED)),
    'png-packed-how': png(chunk(b'zTXt', b'Comment\0\7xx')),
    'png-profile': png(chunk(b'iCCP', b'a\0\7xx')),
    'png-short-phys': png(chunk(b'pHYs', b'12')),
    'png-unknown-chunk': png(chunk(b'prVt', b'x', checksum=1)),
    'jpeg-exif': jpeg(app1(exif(6))),
    'jpeg-little-endian': jpeg(app1(exif(6, order='<'))),
    'jpeg-long': jpeg(app1(exif(6, 'I'))),
    'jpeg-not-an-orientation': jpeg(app1(exif(9))),
    'jpeg-two': jpeg(app1(exif(6)), app1(exif(3))),
    'jpeg-no-tiff': jpeg(app1(b'no TIFF header')),
    'jpeg-cut': jpeg(app1(exif(6)[:-4])),
    'jpeg-too-many-tags': jpeg(app1(exif(6, count=500))),
    'jpeg-gps-no-offset': jpeg(app1(exif(6, count=2, more=tag(0x8825, 2, 1)))),
    'jpeg-exif-far-away': jpeg(app1(exif(6, count=2, more=tag(0x8769, 4, 1 << 31)))),
    'jpeg-rational-as-short': jpeg(app1(exif(6, count=2, more=tag(0x11A, 3, 7)))),
    'jpeg-xmp': jpeg((0xE1, b'http://ns.adobe.com/xap/1.0/\0' + XMP)),
    'jpeg-short-profile': jpeg((0xE2, b'ICC_PROFILE\0')),
    'jpeg-short-adobe': jpeg((0xEE, b'Adobe')),
    'jpeg-photoshop': jpeg((0xED, b'Photoshop 3.0\0008BIM\x03\xed')),
    'jpeg-comment': jpeg((0xFE, b'\xff' * 60000)),
    'jpeg-padding': jpeg((0xFF, b''), (0xFF, b'')).replace(
        b'\xff\xff\0\x02', b'\xff' * 4
    ),
    'webp-exif-no-tiff': encoded('WEBP', lossless=True, exif=b'no TIFF header'),
    'tif-xmp': encoded('TIFF', tiffinfo={700: XMP}),
    'tif-interop-no-directory': encoded('TIFF', tiffinfo={0xA005: 8}),
}


def by_opencv(content):
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)


def assert_close(image, expected):
    assert image.shape == expected.shape
    assert np.abs(image - expected.astype(int)).max() <= 3


@pytest.mark.parametrize('name', FILES)
def test_pixels_match_opencv(name):
    image = decode_image(FILES[name], name)
    assert_close(image, by_opencv(FILES[name]))
    turned = ('png-exif', 'png-exif-last', 'jpeg-exif', 'jpeg-gps-no-offset')
    if name in turned:
        expected = np.rot90(PIXELS, -1)
        assert np.abs(image - expected.astype(int)).mean() < 3


def test_damaged_exif_is_harmless():
    rng = np.random.default_rng(0)
    more = tag(0x8769, 4, 30) + tag(0x8825, 4, 40) + tag(0x11A, 5, 20)
    good = exif(1, count=4, more=more)
    for _ in range(300):
        bad = np.frombuffer(good, np.uint8).copy()
        bad[rng.integers(len(bad), size=3)] = rng.integers(256, size=3)
        for file in (jpeg(app1(bad.tobytes())), png(chunk(b'eXIf', bad.tobytes()))):
            assert_close(decode_image(file, 'a'), by_opencv(file))


@pytest.mark.parametrize('orientation', [None, *range(1, 9)])
def test_rotation_of_avif(orientation):
    """AVIF is rotated as by Pillow; its EXIF data are ignored, even if damaged."""
    exif = Image.Exif()
    exif[0x011A] = 72.0
    if orientation:
        exif[0x0112] = orientation
    content = encoded('AVIF', exif=exif, quality=95)
    with Image.open(io.BytesIO(content)) as image:
        expected = np.array(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(decode_image(content, 'a'), expected)
    start = content.index(b'MM\0*')
    damaged = content[:start] + b'nono' + content[start + 4 :]
    np.testing.assert_array_equal(decode_image(damaged, 'a'), expected)


@pytest.mark.parametrize('folder', ['exif', 'xmp/photos', 'images'])
def test_files_that_once_failed(test_data, folder):
    files = sorted((test_data / 'cases' / folder).iterdir())
    files = [path for path in files if path.suffix != '.heic']
    assert files
    for path in files:
        assert_close(read_image(path), by_opencv(path.read_bytes()))
