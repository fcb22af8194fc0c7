"""Probes on photographs of people with labels."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .attributes import probe_attributes
from .photographs import probe_keypoints, probe_parts
from .reid import probe_reid
from .subject import Subject


@dataclass(frozen=True)
class RealPeople:
    """Labeled photographs to probe on.

    Attributes:
        reid: Folders in the layout of Market-1501; see :func:`probe_reid`.
        attributes: CSV file; see :func:`probe_attributes`.
        parts: Folder; see :func:`probe_parts`.
        coco: Folder and annotations, or those for fitting and those for testing; see
            :func:`probe_keypoints`.
    """

    reid: Sequence[str] = ()
    attributes: str | None = None
    parts: str | None = None
    coco: Sequence[str] = ()

    def __post_init__(self) -> None:
        if len(self.coco) not in (0, 2, 4):
            raise ValueError(
                f'coco={list(self.coco)}: give IMAGES ANN, or IMAGES ANN for fitting '
                'and IMAGES ANN for testing'
            )

    def __bool__(self) -> bool:
        return bool(self.reid or self.attributes or self.parts or self.coco)


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
        '--parts', metavar='DIR', help='{train,test}/{images,labels} in it'
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
    return RealPeople(args.reid, args.attributes, args.parts, args.coco)


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
