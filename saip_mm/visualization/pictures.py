"""Pictures for a page."""

import base64
import io

import cv2
import numpy as np
from PIL import Image
from torch import Tensor

Colour = tuple[int, int, int]
FOUND = (0, 230, 118)


def data_uri(image: Image.Image | Tensor | np.ndarray, quality: int = 85) -> str:
    """An image (tensors uint8 [3, h, w], arrays [h, w, 3]) as WebP inside a URI."""
    if isinstance(image, Tensor):
        image = image.permute(1, 2, 0).cpu().numpy()
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, 'WEBP', quality=quality)
    return f'data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}'


def heat(image: Tensor, values: Tensor, high: float, share: float = 0.6) -> np.ndarray:
    """Lay values over an image as colours, from black (0) to bright yellow.

    Args:
        image: uint8 [3, h, w].
        values: float [h', w'] of patches, enlarged bilinearly.
        high: Value of the brightest colour.
        share: Of the colour in the picture; the rest is the image in grey.

    Returns:
        uint8 RGB [h, w, 3].
    """
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy())
    height, width = pixels.shape[:2]
    scaled = (values.float().cpu().numpy() / max(high, 1e-12)).clip(0, 1)
    scaled = cv2.resize(scaled, (width, height), interpolation=cv2.INTER_LINEAR)
    levels = (255 * scaled).round().astype(np.uint8)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1]
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None]
    return (share * colours + (1 - share) * grey).round().astype(np.uint8)


def outline_mask(pixels: np.ndarray, mask: Tensor, colour: Colour = FOUND) -> None:
    """Draw the border of a mask of patches, bool [h', w'], into RGB [h, w, 3]."""
    height, width = pixels.shape[:2]
    size = (width, height)
    whole = cv2.resize(mask.cpu().numpy().astype(np.uint8), size, interpolation=0)
    shapes, _ = cv2.findContours(whole, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(pixels, shapes, -1, colour, 2)
