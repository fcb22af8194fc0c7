"""Person images from folders, lists or annotated photographs."""

import io
import os
from pathlib import Path

import numpy as np
from mmengine.logging import print_log
from mmpretrain.registry import DATASETS

from ..files import read_text
from .folders import find_images, path_of, require_files
from .images import ImageError, read_image, unreduced
from .keypoints import add_keypoints
from .people import PeopleDataset
from .person_boxes import (
    crop_corner,
    crop_person,
    large_enough,
    read_person_boxes,
    read_photograph,
)
from .views import Size

MIN_BOX, MIN_IMAGE = (64, 32), (16, 8)  # (h, w) in pixels
REMEDY = 'correct the entries, data_root or data_prefix'


@DATASETS.register_module()
class PersonImages(PeopleDataset):
    """Person images from one of three sources.

    - Without ``ann_file``: all images in the folder ``data_prefix['img_path']`` and its
      subfolders.
    - With a list (``.txt``): one path per line, relative to that folder. Empty lines
      and lines that start with ``#`` are ignored.
    - With COCO-style annotations (``.json``): all boxes of people, cropped when
      loaded. ``tools/crop_people.py`` crops them in advance, which saves decoding whole
      photographs during training.

    Errors in folder, list or annotations are raised here; those in an image file when
    it is loaded.

    Args:
        data_root: Folder that ``ann_file`` and ``data_prefix`` are relative to.
        ann_file: List or annotations.
        data_prefix: ``dict(img_path=FOLDER)``, the folder of the images. Defaults to
            ``data_root``.
        margin: Margin of a crop on each side, relative to the width and height of the
            box. Used with annotations only.
        keypoints: COCO-style file with keypoints of the people, relative to
            ``data_root``, as HAP needs them; see ``tools/make_keypoints.py``. Can be
            the annotations. See :func:`~saip_mm.data.keypoints.add_keypoints`.
        min_size: ``(h, w)`` in pixels. Boxes whose visible part without margin is
            smaller are skipped; smaller images are errors. Defaults to (64, 32) with
            annotations, otherwise to (16, 8).
        pipeline, scenes: See :class:`PeopleDataset`.
    """

    def __init__(
        self,
        data_root: str = '',
        ann_file: str = '',
        data_prefix: dict | None = None,
        margin: float = 0.1,
        min_size: tuple[int, int] | None = None,
        keypoints: str = '',
        pipeline: tuple = (),
        scenes: dict | None = None,
    ) -> None:
        data_prefix = data_prefix or dict(img_path='')
        if set(data_prefix) != {'img_path'}:
            raise ValueError(
                'PersonImages: data_prefix should be dict(img_path=FOLDER), not '
                f'{dict(data_prefix)}'
            )
        paths = data_root, ann_file, data_prefix['img_path'], keypoints
        if wrong := [each for each in paths if isinstance(each, list | tuple)]:
            raise ValueError(
                f'PersonImages: {wrong[0]} should be one path; ConcatDataset joins '
                'several data sets'
            )
        paths = tuple(map(os.path.expanduser, paths))
        if urls := [each for each in paths if '://' in each]:
            raise ValueError(
                f'PersonImages: {urls[0]} is a URL, and only ShardedImages reads '
                'those: pack a local copy with tools/pack_shards.py, and upload that'
            )
        data_root, ann_file, folder, keypoints = paths
        if not (data_root or ann_file or folder):
            raise ValueError('PersonImages: give data_root, the folder of the images')
        if margin < 0:
            raise ValueError(f'PersonImages: margin should be at least 0, not {margin}')
        if min_size and min(min_size) < 1:
            raise ValueError(f'PersonImages: min_size={min_size} should be at least 1')
        self.margin = margin
        self.keypoints = keypoints and os.path.join(data_root, keypoints)
        annotated = ann_file.endswith('.json')
        self.min_size = tuple(min_size or (MIN_BOX if annotated else MIN_IMAGE))
        super().__init__(pipeline, scenes, data_root, ann_file, dict(img_path=folder))

    @property
    def folder(self) -> str:
        return os.path.normpath(self.data_prefix['img_path'])

    def load_data_list(self) -> list[dict]:
        if not self.ann_file:
            if not os.path.isdir(self.folder):
                raise FileNotFoundError(
                    f'{self.folder}: no such folder of images; set data_root (in a '
                    'config, train_dataloader.dataset.data_root) to that of your images'
                )
            entries = [dict(img_path=path) for path in find_images(self.folder)]
        elif self.ann_file.endswith('.txt'):
            entries = self._load_list()
        elif self.ann_file.endswith('.json'):
            entries = self._load_annotations()
        else:
            raise ValueError(
                f'{self.ann_file}: ann_file should be a list of images (.txt) or '
                'COCO-style annotations (.json)'
            )
        if self.keypoints:
            add_keypoints(self.keypoints, entries)
            self._require_one(entries[:: max(1, len(entries) // 3)])
        return entries

    def _require_one(self, entries: list[dict]) -> None:
        """Raise ImageError unless one of some images is usable with its keypoints."""
        for entry in entries:
            try:
                self.load_image(entry)
                return
            except ImageError as error:
                last = error
        raise last

    def _load_list(self) -> list[dict]:
        if not os.path.isfile(self.ann_file):
            raise FileNotFoundError(
                f'{self.ann_file}: no such list of images; correct ann_file, or set it '
                "to '' for all images of data_root"
            )
        # File names need not be UTF-8: surrogateescape is what os.fsdecode does.
        text = read_text(self.ann_file, errors='surrogateescape')
        lines = enumerate(map(str.strip, io.StringIO(text, newline=None)), 1)
        paths = {number: line for number, line in lines if line and line[0] != '#'}
        if not paths:
            raise ValueError(
                f'{self.ann_file}: no images in the list; give one path per line'
            )
        names = list(paths.values())
        require_files(self.ann_file, self.folder, names, REMEDY, list(paths))
        return [dict(img_path=path) for path in names]

    def _load_annotations(self) -> list[dict]:
        people = read_person_boxes(self.ann_file)
        names = list(dict.fromkeys(person.img_path for person in people))
        require_files(self.ann_file, self.folder, names, REMEDY)
        large = [p for p in people if large_enough(p.box, p.size, self.min_size)]
        height, width = self.min_size
        message = (
            f'{self.ann_file}: {len(large)} people; skipped {len(people) - len(large)} '
            f'of {len(people)} person boxes, which are smaller than {height}x{width} '
            'pixels (h x w)'
        )
        if not large:
            raise ValueError(f'{message}; lower min_size')
        print_log(message, 'current')
        return [person._asdict() for person in large]

    def load_image(self, data_info: dict) -> np.ndarray:
        path = path_of(self.folder, data_info['img_path'])
        if 'size' not in data_info:
            allowed = data_info.get('max_reduction', unreduced)
            return read_image(path, lambda shape: self._check(shape) or allowed(shape))
        # Boxes and keypoints are in pixels of the whole image.
        image = read_photograph(path, data_info['size'])
        if 'box' in data_info:
            image = crop_person(image, data_info['box'], self.margin)
        self._check(image.shape[:2], f'{self.source(data_info)}: ')
        return image

    def _check(self, shape: Size, prefix: str = '') -> None:
        """Raise ImageError if an image, before any reduction, is below ``min_size``."""
        (height, width), (min_height, min_width) = shape, self.min_size
        if height < min_height or width < min_width:
            raise ImageError(
                f'{prefix}{height}x{width} pixels (h x w) are less than min_size, '
                f'{min_height}x{min_width}; remove the image or lower min_size'
            )

    def load_posed(self, data_info: dict) -> tuple[np.ndarray, np.ndarray | None]:
        image, keypoints = self.load_image(data_info), data_info.get('keypoints')
        if keypoints is None:
            return image, None
        keypoints = np.frombuffer(keypoints, np.float32).reshape(-1, 3)
        if 'box' in data_info:
            corner = crop_corner(data_info['box'], self.margin)
            keypoints = keypoints - np.float32([*corner, 0])
        return image, keypoints

    def load_file(self, data_info: dict) -> bytes:
        if 'box' in data_info:
            return super().load_file(data_info)
        self.load_image(data_info)  # raises an error if it cannot be used
        return Path(path_of(self.folder, data_info['img_path'])).read_bytes()

    def source(self, data_info: dict) -> str:
        path = path_of(self.folder, data_info['img_path'])
        if 'box' not in data_info:
            return path
        return f'{path}, box (x, y, w, h) = {data_info["box"]}'
