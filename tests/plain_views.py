"""The views of a sample, made with Pillow and torchvision as most projects do.

Follows a drawn record (saip_mm.data.views), one view after another. Pillow approximates
Gaussian blur, so that pixels are close to those of the package, but not equal.
"""

import numpy as np
import torch
from PIL import Image, ImageFilter, ImageOps
from torchvision.transforms import functional as F


def make_view(image, view):  # PIL image, record of a view -> PIL image
    crop = view.crop
    box = (crop.left, crop.top, crop.left + crop.width, crop.top + crop.height)
    image = image.crop(box).resize(view.size[::-1], Image.BICUBIC)
    if view.flip:
        image = ImageOps.mirror(image)
    for name, value in view.colors.jitter:
        image = getattr(F, f'adjust_{name}')(image, value)
    if view.colors.gray:
        image = F.to_grayscale(image, 3)
    if view.blur is not None:
        image = image.filter(ImageFilter.GaussianBlur(view.blur))
    return image if view.solarize is None else F.solarize(image, view.solarize)


def make_views(image, scene, views):  # two PIL images, record -> uint8 tensors
    globals_ = [make_view(image, view) for view in views.globals]
    locals_ = [make_view(image, view) for view in views.locals]
    roi, scene = make_view(image, views.roi), make_view(scene, views.scene)
    inst = globals_[0].resize(views.roi.size[::-1], Image.BICUBIC)
    for person, (top, left) in zip((inst, roi), views.places, strict=True):
        box = (left, top, left + person.width, top + person.height)
        scene.paste(Image.blend(scene.crop(box), person, views.opacity), box)
    tensor = F.pil_to_tensor
    return {
        'globals': torch.stack([tensor(view) for view in globals_]),
        'locals': torch.stack([tensor(view) for view in locals_]),
        'roi': tensor(roi),
        'inst': tensor(inst),
        'scene': tensor(scene),
        'scene_masks': torch.from_numpy(views.scene_masks),
        'csr_noise': torch.from_numpy(views.csr_noise),
    }


def read(path):
    with Image.open(path) as image:
        return image.convert('RGB')


def sample(paths, index, views_of):  # as a data set's __getitem__
    rng = np.random.default_rng((0, 0, index))
    other = int(rng.integers(len(paths) - 1))
    image, scene = read(paths[index]), read(paths[other + (other >= index)])
    drawn = {'image': np.asarray(image), 'scene': np.asarray(scene), 'rng': rng}
    return make_views(image, scene, views_of(drawn)['views'])
