"""Images of people described by sentences."""

import json
import os
from collections import Counter
from collections.abc import Sequence

from mmengine.logging import print_log
from mmpretrain.registry import DATASETS

from ...data.folders import find_missing
from ...files import read_text
from ..datasets import SplitDataset, check_layout
from .clip import LENGTH

KEYS = ('id', 'split', 'captions')


class CaptionedPeople(SplitDataset):
    """Base class of data sets of text-to-image person retrieval.

    Entries have `img_path`, `captions` and `gt_label`, which numbers the people of the
    split from 0. The training set has an entry for each caption, other splits one for
    each image. Images are below `imgs`; one of the `ANNOTATIONS` lists them. All of it
    is checked, whatever the split. Arguments are those of :class:`SplitDataset`.
    """

    SPLITS = ('train', 'val', 'test')
    ANNOTATIONS: Sequence[str]
    PATH = 'file_path'
    COMPLETE: tuple[int, int]
    """Images and people of the complete data set."""

    def load_data_list(self) -> list[dict]:
        folder = self.data_root
        names = [n for n in self.ANNOTATIONS if os.path.isfile(os.path.join(folder, n))]
        name = (names or self.ANNOTATIONS)[0]
        check_layout(folder, ['imgs', name], type(self).__name__)
        source = os.path.join(folder, name)
        everyone = self._read(source)
        entries = [entry for entry in everyone if entry['split'] == self.split]
        if not entries:
            raise ValueError(f'{source}: no entry has the split {self.split!r}')
        people = sorted({str(entry['id']) for entry in entries})
        labels = {person: label for label, person in enumerate(people)}
        images = [
            dict(
                img_path=os.path.join(folder, 'imgs', entry[self.PATH]),
                captions=entry['captions'],
                gt_label=labels[str(entry['id'])],
            )
            for entry in entries
        ]
        pairs = [
            dict(image, captions=[caption])
            for image in images
            for caption in image['captions']
        ]
        print_log(
            f'{source}: {len(images)} images of {len(people)} people with '
            f'{len(pairs)} captions in {self.split}; {len(everyone)} images in all, '
            f'{self.COMPLETE[0]} in the complete data set',
            logger='current',
        )
        return pairs if self.split == 'train' else images

    def _read(self, path: str) -> list[dict]:
        """The entries of all splits."""
        try:
            entries = json.loads(read_text(path))
        except json.JSONDecodeError as error:
            raise ValueError(
                f'{path} is incomplete or no JSON ({error}); download it again'
            ) from error
        if not isinstance(entries, list):
            raise ValueError(f'{path}: not a list of entries; use the original file')
        for number, entry in enumerate(entries):
            self._check(f'{path}, entry {number}', entry)
        _check_images(
            path, os.path.join(self.data_root, 'imgs'), [e[self.PATH] for e in entries]
        )
        words = [len(text.split()) for e in entries for text in e['captions']]
        if cut := sum(count > LENGTH - 2 for count in words):
            print_log(
                f'{path}: {cut} of {len(words)} captions have more than {LENGTH - 2} '
                f'words, up to {max(words)}; CLIP reads their beginnings only',
                logger='current',
            )
        return entries

    def _check(self, place: str, entry: object) -> None:
        needed = (*KEYS, self.PATH)
        if not isinstance(entry, dict) or any(key not in entry for key in needed):
            raise ValueError(
                f'{place}: not a record with {", ".join(needed)}; use the original file'
            )
        name, captions = entry[self.PATH], entry['captions']
        if not isinstance(name, str) or entry['split'] not in self.SPLITS:
            raise ValueError(
                f'{place}: {self.PATH} is {name!r} and split {entry["split"]!r}; give '
                f'an image below imgs and one of {", ".join(self.SPLITS)}'
            )
        if not isinstance(captions, list) or not captions:
            raise ValueError(
                f'{place}: {name} has no captions; add one, or remove the entry'
            )
        for caption in captions:
            if not isinstance(caption, str) or not caption.strip():
                raise ValueError(
                    f'{place}: a caption of {name} is {caption!r}, which is no '
                    'sentence; correct or remove it'
                )


@DATASETS.register_module()
class CUHKPEDES(CaptionedPeople):
    """CUHK-PEDES (Li et al., CVPR 2017), or a folder with its layout.

    Arguments are those of :class:`SplitDataset`.
    """

    ANNOTATIONS = ('reid_raw.json', 'caption_all.json')
    COMPLETE = (40_206, 13_003)


@DATASETS.register_module()
class ICFGPEDES(CaptionedPeople):
    """ICFG-PEDES (Ding et al., arXiv 2107.12666), which has no validation set.

    Arguments are those of :class:`SplitDataset`.
    """

    SPLITS = ('train', 'test')
    ANNOTATIONS = ('ICFG-PEDES.json', 'ICFG_PEDES.json')
    COMPLETE = (54_522, 4_102)


@DATASETS.register_module()
class RSTPReid(CaptionedPeople):
    """RSTPReid (Zhu et al., ACM MM 2021).

    Arguments are those of :class:`SplitDataset`.
    """

    ANNOTATIONS = ('data_captions.json',)
    PATH = 'img_path'
    COMPLETE = (20_505, 4_101)


def _check_images(source: str, folder: str, names: Sequence[str]) -> None:
    """Raise FileNotFoundError that counts missing images by folder."""
    if not (missing := [names[i] for i in find_missing(folder, names)]):
        return
    totals, absent = (
        Counter(name.rpartition('/')[0].split('/')[0] for name in each)
        for each in (names, missing)
    )
    counts = ', '.join(
        f'{count} of {totals[part]} in imgs/{part}' for part, count in absent.items()
    )
    raise FileNotFoundError(
        f'{source}: {len(missing)} of {len(names)} images are missing: {counts}, such '
        f'as {missing[0]}. The archive is incomplete: add these images from the '
        'data sets that they were taken from, or remove their entries'
    )
