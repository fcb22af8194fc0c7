"""Probes on photographs of people with labels."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from .photographs import probe_keypoints, probe_parts
from .subject import Subject, log, score_name
from .tokens import probe_attributes, probe_reid, probe_unlabeled


@dataclass(frozen=True)
class RealPeople:
    """Photographs to probe on; the functions ``probe_…`` describe the files."""

    reid: Sequence[str] = ()  # folders in the layout of Market-1501
    attributes: str | None = None  # CSV file
    parts: str | None = None  # folder
    unlabeled: str | None = None  # folder
    coco: Sequence[str] = ()  # folder and annotations; or two of each, see there

    def __post_init__(self) -> None:
        for name in ('reid', 'coco'):
            if isinstance(given := getattr(self, name), str):
                raise ValueError(f'{name}={given!r}: give a list of paths')
        if len({score_name(folder, 'reid') for folder in self.reid}) < len(self.reid):
            raise ValueError(
                f'reid={[*map(str, self.reid)]}: two folders have the same name, after '
                'which scores are named; rename one'
            )
        files = [*self.reid, self.attributes, self.parts, self.unlabeled, *self.coco]
        if missing := [each for each in files if each and not Path(each).exists()]:
            raise FileNotFoundError(
                f'{missing[0]}: there are no such photographs to probe on; correct the '
                'path'
            )
        if len(self.coco) not in (0, 2, 4):
            raise ValueError(
                f'coco={list(self.coco)}: give IMAGES ANN, or IMAGES ANN for fitting '
                'and IMAGES ANN for testing'
            )

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) for field in fields(self))


def add_people_options(parser: argparse.ArgumentParser) -> None:
    """Add options for :class:`RealPeople`; read them with :func:`people_of`."""
    add = parser.add_argument_group('photographs to probe on').add_argument
    several = dict(nargs='+', default=[])
    add('--reid', metavar='DIR', help='like Market-1501', **several)
    add('--attributes', metavar='CSV', help='columns path, split, 0 or 1 for each')
    add('--parts', metavar='DIR', help='folder with {train,test}/{images,labels}')
    add('--unlabeled', metavar='DIR', help='images for measures without labels')
    coco = 'IMAGES ANN with keypoints; or IMAGES ANN for fitting, then for testing'
    add('--coco', metavar='PATH', help=coco, **several)


def people_of(args: argparse.Namespace) -> RealPeople:
    """The photographs that options of :func:`add_people_options` name."""
    return RealPeople(
        **{each.name: getattr(args, each.name) for each in fields(RealPeople)}
    )


def probe_real(subject: Subject, people: RealPeople) -> Iterator[dict[str, float]]:
    """Probe features on photographs, on parts and keypoints only those of patches.

    Yields:
        Scores of one data set after another, named after its folder, or ``coco``.

    Raises:
        OSError: If a file is missing or cannot be read.
        ValueError: If labels, or names of files, are malformed or too few, or sizes of
            label maps differ from those of their images.
    """
    for folder in people.reid:
        yield probe_reid(subject, folder)
    if people.attributes:
        yield probe_attributes(subject, people.attributes)
    if (people.parts or people.coco) and not subject.features.has_patches:
        log('parts and keypoints omitted: no features of patches')
        people = replace(people, parts=None, coco=())
    if people.parts:
        yield probe_parts(subject, people.parts)
    if people.coco:
        yield probe_keypoints(subject, people.coco)
    if people.unlabeled:
        yield probe_unlabeled(subject, people.unlabeled)
