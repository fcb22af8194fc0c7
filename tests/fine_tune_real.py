"""Overfit downstream configs to a few photographs and test them on mirror images.

    SAIP_TEST_DATA=DATA python tests/fine_tune_real.py pose --work-dir work_dirs/real

Pretrains a ViT-Tiny briefly on drawn people, exports its backbone, fine-tunes
tests/configs/real_pose.py (or detection, parsing) on the photographs of DATA/real/coco,
and tests it on these and on mirror images, which are made here with NumPy. The model
fits both only if flips during training are correct. Visualizations are in the work
directory.
"""

import argparse
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
from launch import run
from PIL import Image, ImageDraw

from saip_mm.errors import script_parser

# Metric of each task, and its maximum.
METRICS = {
    'pose': ('coco/AP', 1),
    'detection': ('coco/bbox_mAP_50', 1),
    'parsing': ('mIoU', 100),
}
SWAPPED = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]


def mirror_person(person: dict, width: int) -> dict:
    """A COCO annotation of the mirror image of a photograph."""
    x, y, w, h = person['bbox']
    keypoints = np.array(person['keypoints'], float).reshape(17, 3)[SWAPPED]
    seen = keypoints[:, 2] > 0
    keypoints[seen, 0] = width - 1 - keypoints[seen, 0]
    polygons = [np.array(p, float).reshape(-1, 2) for p in person['segmentation']]
    flipped = [np.stack([width - p[:, 0], p[:, 1]], 1) for p in polygons]
    return dict(
        person,
        bbox=[width - x - w, y, w, h],
        keypoints=keypoints.ravel().tolist(),
        segmentation=[polygon.ravel().tolist() for polygon in flipped],
    )


def draw_people(people: list[dict], size: tuple[int, int]) -> Image.Image:
    """Labels of an image of ``size`` (width, height): 1 inside a person, 0 elsewhere.

    Integer coordinates are corners of pixels in polygons, but centers in Pillow.
    """
    labels = Image.new('L', size)
    for person in people:
        for polygon in person['segmentation']:
            corners = [value - 0.5 for value in polygon]
            ImageDraw.Draw(labels).polygon(corners, fill=1)
    return labels


def prepare(source: Path, place: Path) -> None:
    """Write photographs, annotations and label maps, and their mirror images."""
    content = json.loads((source / 'test_coco.json').read_text())
    widths = {image['id']: image['width'] for image in content['images']}
    people = [mirror_person(p, widths[p['image_id']]) for p in content['annotations']]
    mirrored = dict(content, annotations=people)
    for name, annotations in dict(photographs=content, mirrored=mirrored).items():
        (place / f'{name}.json').write_text(json.dumps(annotations))
        for folder in (place / name, place / f'{name}_labels'):
            folder.mkdir(exist_ok=True)
        for image in content['images']:
            picture = Image.open(source / image['file_name'])
            if name == 'mirrored':
                picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            path = place / name / image['file_name']
            picture.save(path, quality=95)
            people = annotations['annotations']
            people = [p for p in people if p['image_id'] == image['id']]
            labels = draw_people(people, picture.size)
            labels.save(place / f'{name}_labels' / path.with_suffix('.png').name)


def pretrain(place: Path) -> None:
    """Pretrain and export a backbone with the project's tools."""
    run('tools/train.py', 'tests/configs/real_saip.py', '--work-dir', place / 'saip')
    weights = place / 'backbone.pth'
    print(run('tools/export_backbone.py', place / 'saip', '--out', weights).stdout)


def fine_tune(task: str, place: Path) -> None:
    """Train a task; check that all tensors of the backbone were loaded."""
    config, work_dir = f'tests/configs/real_{task}.py', place / task
    log = run('tools/train.py', config, '--work-dir', work_dir, REAL_PEOPLE=str(place))
    (report,) = re.findall(r'backbone\.pth: (\d+ of \d+ tensors .*)', log.stdout)
    print(f'{task}: {report}')
    found, wanted = map(int, re.findall(r'\d+', report)[:2])
    assert found == wanted and 'missing' not in report, report


def measure(task: str, photographs: str, place: Path) -> float:
    """Metric of a task, in [0, 1], on ``'photographs'`` or ``'mirrored'``."""
    config, work_dir = f'tests/configs/real_{task}.py', place / f'{task}_{photographs}'
    names = dict(REAL_PEOPLE=str(place), PHOTOGRAPHS=photographs)
    run('tools/test.py', config, place / task, '--work-dir', work_dir, **names)
    latest = max(work_dir.glob('*/*.json'))
    name, maximum = METRICS[task]
    value = json.loads(latest.read_text())[name] / maximum
    print(f'{task}: {name} {value:.3f} on {photographs}; pictures in {latest.parent}')
    return value


def parse_args() -> argparse.Namespace:
    parser = script_parser(__doc__)
    parser.add_argument('tasks', nargs='+', choices=list(METRICS))
    parser.add_argument('--work-dir', default='work_dirs/real', type=Path)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if 'SAIP_TEST_DATA' not in os.environ:
        sys.exit('set SAIP_TEST_DATA to a folder with real/coco')
    place = args.work_dir.resolve()
    place.mkdir(parents=True, exist_ok=True)
    prepare(Path(os.environ['SAIP_TEST_DATA'], 'real/coco'), place)
    if not (place / 'backbone.pth').exists():
        pretrain(place)
    for task in args.tasks:
        fine_tune(task, place)
        values = [measure(task, each, place) for each in ('photographs', 'mirrored')]
        assert min(values) >= 0.9, values


if __name__ == '__main__':
    main()
