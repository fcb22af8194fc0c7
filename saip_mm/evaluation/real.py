"""Probes on photographs of people with labels."""

import argparse
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from ..data.folders import find_images
from ..models.saip import token_spread
from .attributes import probe_attributes
from .photographs import probe_keypoints, probe_parts
from .reid import probe_reid
from .subject import Subject, log
from .tokens import rank_me

MAX_IMAGES = 2000  # of a folder without labels


@dataclass(frozen=True)
class RealPeople:
    """Labeled photographs to probe on.

    Attributes:
        reid: Folders in the layout of Market-1501; see :func:`probe_reid`.
        attributes: CSV file; see :func:`probe_attributes`.
        parts: Folder; see :func:`probe_parts`.
        unlabeled: Folder of images; see :func:`probe_unlabeled`.
        coco: Folder and annotations, or those for fitting and those for testing; see
            :func:`probe_keypoints`.
    """

    reid: Sequence[str] = ()
    attributes: str | None = None
    parts: str | None = None
    unlabeled: str | None = None
    coco: Sequence[str] = ()

    def __post_init__(self) -> None:
        if len(self.coco) not in (0, 2, 4):
            raise ValueError(
                f'coco={list(self.coco)}: give IMAGES ANN, or IMAGES ANN for fitting '
                'and IMAGES ANN for testing'
            )

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) for field in fields(self))


def add_people_options(parser: argparse.ArgumentParser) -> None:
    """Options for :class:`RealPeople`; read them with :func:`people_of`."""
    group = parser.add_argument_group('photographs to probe on')
    group.add_argument(
        '--reid', nargs='+', default=[], metavar='DIR', help='like Market-1501'
    )
    group.add_argument(
        '--attributes', metavar='CSV', help='columns path, split, and 0 or 1 for each'
    )
    group.add_argument(
        '--parts', metavar='DIR', help='folder with {train,test}/{images,labels}'
    )
    group.add_argument(
        '--unlabeled', metavar='DIR', help='images for measures without labels'
    )
    group.add_argument(
        '--coco',
        nargs='+',
        default=[],
        metavar='PATH',
        help='IMAGES ANN with keypoints; or IMAGES ANN for fitting, IMAGES ANN for '
        'testing',
    )


def people_of(args: argparse.Namespace) -> RealPeople:
    """The photographs that options of :func:`add_people_options` name."""
    return RealPeople(
        **{each.name: getattr(args, each.name) for each in fields(RealPeople)}
    )


def probe_real(subject: Subject, people: RealPeople) -> Iterator[dict[str, float]]:
    """Probe features on photographs.

    Yields:
        Scores of one data set after another, named after its folder.

    Raises:
        OSError: If a file is missing or cannot be read.
        ValueError: If labels are malformed, or of too few people.
    """
    for folder in people.reid:
        yield probe_reid(subject, folder)
    if people.attributes:
        yield probe_attributes(subject, people.attributes)
    if people.parts:
        yield probe_parts(subject, people.parts)
    if people.coco:
        yield probe_keypoints(subject, people.coco)
    if people.unlabeled:
        yield probe_unlabeled(subject, people.unlabeled)


def probe_unlabeled(subject: Subject, folder: str | Path) -> dict[str, float]:
    """Measures of image tokens that need no labels, of at most ``MAX_IMAGES`` images.

    ``RankMe`` is their effective rank, ``spread`` the root of the summed variances of
    unit tokens (0: all images alike, 1: in all directions). They show a collapse; high
    values are no evidence of useful features.

    Raises:
        OSError: If the folder has no images, or one cannot be read.
    """
    names = find_images(str(folder))
    step = -(-len(names) // MAX_IMAGES)
    paths = [os.path.join(folder, name) for name in names[::step]]
    name = Path(folder).resolve().name
    log(f'{name}: {len(paths)} unlabeled images')
    tokens = subject.embed(paths).image
    spread = token_spread(tokens).item()
    return {f'{name}/RankMe': rank_me(tokens), f'{name}/spread': spread}
