"""Removal of metadata from image files before decoding.

Decoders reject images with damaged comments, although these do not affect the pixels.
"""

import re
import struct
import zlib

PNG = b'\x89PNG\r\n\x1a\n'
JPEG = b'\xff\xd8\xff'
# JPEG segments that define how colors are stored, with their minimum sizes.
_COLORS = {0xE0: (b'JFIF\0', 14), 0xEE: (b'Adobe', 12)}


def drop_metadata(content: bytes) -> tuple[bytes, int | None]:
    """Remove everything from a JPEG or PNG file that does not affect its pixels.

    Of an AVIF file, only EXIF data are removed. Malformed parts and other files are
    returned unchanged.

    Returns:
        The file without metadata, and the orientation in its EXIF data, if any.
    """
    start = content[:32]
    if start[4:8] == b'ftyp' and (b'avif' in start or b'avis' in start):
        # The rotation of an AVIF image is not metadata, and overrides EXIF.
        return re.sub(rb'(infe.{8,10}?)Exif', rb'\1none', content, flags=re.S), None
    exif = []
    if content.startswith(PNG):
        content, exif = _split_png(content)
    elif content.startswith(JPEG):
        content, exif = _split_jpeg(content)
    found = (value for value in map(exif_orientation, exif) if value is not None)
    return content, next(found, None)


def exif_orientation(exif: bytes) -> int | None:
    """Parse the orientation (tag 0x0112) of EXIF data, as tolerantly as OpenCV."""
    order = {b'II*\0': '<', b'MM\0*': '>'}.get(exif[:4])
    if order is None:
        return None
    try:
        (first,) = struct.unpack_from(f'{order}I', exif, 4)
        (count,) = struct.unpack_from(f'{order}H', exif, first)
        for number in range(count):
            at = first + 2 + 12 * number
            tag, _, _, value = struct.unpack_from(f'{order}HHIH', exif, at)
            if tag == 0x0112:
                return value
    except struct.error:  # truncated
        pass
    return None


def _split_png(content: bytes) -> tuple[bytes, list[bytes]]:
    """Return the chunks that affect the pixels, and the EXIF data."""
    kept, exif, at = [PNG], [], len(PNG)
    while at + 12 <= len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], 'big')
        if end > len(content):
            break
        kind, body = content[at + 4 : at + 8], content[at + 8 : end - 4]
        checksum = int.from_bytes(content[end - 4 : end], 'big')
        if kind == b'eXIf' and zlib.crc32(kind + body) == checksum:
            exif.append(body)
        is_critical = not kind[0] & 0x20
        if is_critical or kind == b'tRNS':
            kept.append(content[at:end])
        at = end
    return b''.join([*kept, content[at:]]), exif


def _split_jpeg(content: bytes) -> tuple[bytes, list[bytes]]:
    """Return the segments that affect the pixels, and the EXIF data."""
    kept, exif, at = [content[:2]], [], 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], 'big')
        if not 0xC0 <= marker <= 0xFE or 0xD0 <= marker <= 0xDA or end > len(content):
            break  # the first scan, or not a segment with a length
        body = content[at + 4 : end]
        if marker == 0xE1 and body.startswith(b'Exif\0\0'):
            exif.append(body[6:])
        name, size = _COLORS.get(marker, (b'', 0))
        is_metadata = 0xE0 <= marker <= 0xEF or marker == 0xFE
        if not is_metadata or (name and body.startswith(name) and len(body) >= size):
            kept.append(content[at:end])
        at = end
    return b''.join([*kept, content[at:]]), exif
