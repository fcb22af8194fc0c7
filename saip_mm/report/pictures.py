"""Pictures for a page."""

import base64
import io

import cv2
import numpy as np
from PIL import Image
from torch import Tensor


def data_uri(image: Image.Image, quality: int = 85) -> str:
    """An image as WebP inside a URI."""
    buffer = io.BytesIO()
    image.save(buffer, 'WEBP', quality=quality)
    return f'data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}'


def heat(
    image: Tensor, values: Tensor, low: float, high: float, share: float = 0.6
) -> Image.Image:
    """Lay values over an image as colours, from black to bright yellow.

    Args:
        image: uint8 [3, h, w].
        values: float [h', w'] of patches, enlarged bilinearly.
        low: Value of the darkest colour.
        high: Value of the brightest colour.
        share: Of the colour in the picture; the rest is the image in grey.
    """
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    height, width = pixels.shape[:2]
    scaled = (values.numpy() - low) / max(high - low, 1e-12)
    scaled = cv2.resize(scaled, (width, height), interpolation=cv2.INTER_LINEAR)
    levels = (255 * scaled.clip(0, 1)).round().astype(np.uint8)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1]
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None]
    mixed = share * colours + (1 - share) * grey
    return Image.fromarray(mixed.round().astype(np.uint8))
