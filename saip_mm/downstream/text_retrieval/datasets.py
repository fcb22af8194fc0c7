"""Images of people described by sentences."""

import os
from collections import Counter
from collections.abc import Sequence
from logging import WARNING

from mmengine.logging import print_log
from mmpretrain.registry import DATASETS

from ...data.folders import find_missing
from ...files import read_json
from ..datasets import SplitDataset, check_layout
from .clip import WORDS


class CaptionedPeople(SplitDataset):
    """Base class of data sets of text-to-image person retrieval.

    Entries have `img_path`, `captions` and `gt_label`, which numbers the people of the
    split from 0. The training set has an entry for each caption, other splits one for
    each image, even if the file has several. Images are below `imgs`; one of the
    `ANNOTATIONS` lists them. All of them are checked, whatever the split. Arguments are
    those of :class:`SplitDataset`.
    """

    SPLITS = ('train', 'val', 'test')
    ANNOTATIONS: Sequence[str]
    PATH = 'file_path'
    COMPLETE: int
    """Images of the complete data set."""

    def load_data_list(self) -> list[dict]:
        found = set(os.listdir(self.data_root)) if os.path.isdir(self.data_root) else ()
        name = next((n for n in self.ANNOTATIONS if n in found), self.ANNOTATIONS[0])
        check_layout(self.data_root, ['imgs', name], type(self).__name__)
        source, folder = (os.path.join(self.data_root, n) for n in (name, 'imgs'))
        everyone = _merged(source, self._read(source), self.PATH)
        _check_images(source, folder, [entry[self.PATH] for entry in everyone])
        chosen = [entry for entry in everyone if entry['split'] == self.split]
        people = sorted({str(entry['id']) for entry in chosen})
        others = {e[self.PATH] for e in everyone if e['split'] != self.split}
        if shared := sorted(others.intersection(e[self.PATH] for e in chosen)):
            print_log(
                f'{source}: {len(shared)} images of {self.split} are in other splits '
                f'as well, such as {shared[0]}: tests on them are too optimistic',
                logger='current',
                level=WARNING,
            )
        words = [len(text.split()) for e in chosen for text in e['captions']]
        if not chosen:
            raise ValueError(f'{source}: no entry has the split {self.split!r}')
        print_log(
            f'{source}: {len(chosen)} images of {len(people)} people in {self.split}, '
            f'{len(words)} captions of up to {max(words)} words (at least '
            f'{sum(n > WORDS for n in words)} are too long and will be cut); '
            f'{len(everyone)} images in all, {self.COMPLETE} in the complete data set',
            logger='current',
        )
        labels = {person: label for label, person in enumerate(people)}
        return [
            dict(
                img_path=os.path.join(folder, entry[self.PATH]),
                captions=captions,
                gt_label=labels[str(entry['id'])],
            )
            for entry in chosen
            for captions in (
                [[text] for text in entry['captions']]
                if self.split == 'train'
                else [entry['captions']]
            )
        ]

    def _read(self, path: str) -> list[dict]:
        """The entries of all splits."""
        entries = read_json(path)
        if not isinstance(entries, list):
            raise ValueError(f'{path}: not a list of entries; use the original file')
        for number, entry in enumerate(entries):
            if problem := self._problem(entry):
                raise ValueError(f'{path}, entry {number}: {problem}')
        return entries

    def _problem(self, entry: object) -> str | None:
        """What is wrong with an entry and how to correct it, if anything."""
        needed = ('id', 'split', 'captions', self.PATH)
        found = entry if isinstance(entry, dict) else {}
        if missing := [key for key in needed if key not in found]:
            original = self.ANNOTATIONS[0]
            return f'has no {", ".join(missing)}; use the original {original}'
        person, split, captions, name = (entry[key] for key in needed)
        # Null, or NaN of a data frame, would be one person.
        if not isinstance(person, int | str) or not str(person).strip():
            return f'id is {person!r}; give the number of the person, or remove it'
        if not isinstance(name, str) or split not in self.SPLITS:
            return (
                f'{self.PATH} is {name!r} and split {split!r}; give an image below '
                f'imgs and one of {", ".join(self.SPLITS)}'
            )
        if isinstance(captions, str):
            return f'the captions of {name} are a string; put it in a list'
        if not isinstance(captions, list) or not captions:
            return f'{name} has no captions; add one, or remove the entry'
        for text in captions:
            if not isinstance(text, str) or not text.strip():
                return f'caption {text!r} of {name} is no sentence; correct it'
        return None


@DATASETS.register_module()
class CUHKPEDES(CaptionedPeople):
    """CUHK-PEDES (Li et al., CVPR 2017); see :class:`CaptionedPeople`."""

    ANNOTATIONS = ('reid_raw.json', 'caption_all.json')
    COMPLETE = 40_206


@DATASETS.register_module()
class ICFGPEDES(CaptionedPeople):
    """ICFG-PEDES (Ding et al., arXiv 2107.12666), which has no validation set; see
    :class:`CaptionedPeople`."""

    SPLITS = ('train', 'test')
    ANNOTATIONS = ('ICFG-PEDES.json', 'ICFG_PEDES.json')
    COMPLETE = 54_522


@DATASETS.register_module()
class RSTPReid(CaptionedPeople):
    """RSTPReid (Zhu et al., ACM MM 2021); see :class:`CaptionedPeople`."""

    ANNOTATIONS = ('data_captions.json',)
    PATH = 'img_path'
    COMPLETE = 20_505


def _merged(source: str, entries: list[dict], key: str) -> list[dict]:
    """One entry per image and split, with the captions of all."""
    merged = {}
    for entry in entries:
        name = entry[key]
        first = merged.setdefault(
            (entry['split'], os.path.normpath(name)), dict(entry, captions=[])
        )
        if str(first['id']) != str(entry['id']):
            raise ValueError(
                f'{source}: {name} has the ids {first["id"]} and {entry["id"]}; '
                'correct one of them'
            )
        first['captions'] += entry['captions']
    return list(merged.values())


def _check_images(source: str, folder: str, names: Sequence[str]) -> None:
    """Raise FileNotFoundError that counts missing images by folder."""
    if missing := [names[i] for i in find_missing(folder, names)]:
        totals, absent = (
            Counter(os.path.dirname(name).split('/')[0] for name in each)
            for each in (names, missing)
        )
        parts = [f'{n} of {totals[part]} in imgs/{part}' for part, n in absent.items()]
        raise FileNotFoundError(
            f'{source}: {len(missing)} of {len(names)} images are missing: '
            f'{", ".join(parts)}, such as {missing[0]}. The archive is incomplete: add '
            'these images from the data sets they come from, or remove their entries'
        )
