"""Whether the data of a config are there and can be used."""

from collections.abc import Iterator
from os import PathLike
from pathlib import Path

from mmengine.dataset import BaseDataset, Compose
from mmengine.registry import DATASETS

from ..coco import parse_json, read_plain_text
from ..folders import require_files
from .coco import (
    BOX_SCORES,
    BOXES,
    POSE,
    POSE_SCORES,
    WHOLE_BODIES,
    WHOLE_BODY_SCORES,
    Reader,
    check_coco,
    check_detections,
    image_ids,
)
from .crowdhuman import read_crowdhuman, renew_sizes, sizes_file, useless_boxes

REMEDY = 'unpack all of the data, or leave these out of the annotations'


def check_places(dataset: dict) -> None:
    """Check that the files and folders that a data set's config names are there.

    Args:
        dataset: Config of a data set, or of one that wraps others.

    Raises:
        FileNotFoundError: With what is there instead.
    """
    for path in places(dataset):
        if path.exists():
            continue
        above = next(folder for folder in path.absolute().parents if folder.is_dir())
        found = sorted(entry.name for entry in above.iterdir())
        some = ', '.join(found[:8]) + (', …' if len(found) > 8 else '')
        raise FileNotFoundError(
            f'{path}: no such file or folder; {above} holds '
            f'{some or "nothing"}. README.md shows the layouts; set data_root of the '
            'data set to the folder that is laid out like this'
        )


def _data_sets(config: dict) -> Iterator[dict]:
    """The config of a data set and of those that it wraps."""
    yield config
    for each in [config.get('dataset'), *(config.get('datasets') or ())]:
        if isinstance(each, dict):
            yield from _data_sets(each)


def places(config: dict) -> Iterator[Path]:
    """What a data set's config names in its folder, and its boxes."""
    for each in _data_sets(config):
        root = Path(each.get('data_root') or '')
        below = [each.get('ann_file'), *(each.get('data_prefix') or {}).values()]
        yield from (root / path for path in below if isinstance(path, str | PathLike))
        if each.get('bbox_file'):
            yield Path(each['bbox_file'])


def check_images(dataset: object) -> None:
    """Check that the images and label maps that annotations name are there.

    Args:
        dataset: A data set; one that is not MMEngine's is skipped.

    Raises:
        FileNotFoundError: If some are missing.
    """
    for each in _built(dataset):
        entries = [each.get_data_info(index) for index in range(len(each))]
        for key in ('img_path', 'seg_map_path'):
            paths = dict.fromkeys(entry[key] for entry in entries if entry.get(key))
            require_files(each.ann_file or each.data_root, '', list(paths), REMEDY)


def _built(dataset: object) -> Iterator[BaseDataset]:
    """MMEngine's data sets among one and those that it wraps."""
    if isinstance(dataset, BaseDataset):
        yield dataset
    for each in getattr(dataset, 'datasets', [getattr(dataset, 'dataset', None)]):
        if each is not None:
            yield from _built(each)


class _NamingPipeline(Compose):
    """Steps whose errors name the files of the sample."""

    def __init__(self, pipeline: Compose) -> None:
        self.transforms = pipeline.transforms

    def __call__(self, data: dict) -> dict | None:
        files = [data[k] for k in ('img_path', 'seg_map_path') if data.get(k)]
        try:
            return super().__call__(data)
        except Exception as error:
            if not files or any(str(file) in str(error) for file in files):
                raise
            empty = [
                f for f in files if Path(f).exists() and not Path(f).stat().st_size
            ]
            reason = 'empty' if empty else f'{type(error).__name__}: {error}'
            raise ValueError(
                f'{" with ".join(empty or files)}: {reason}. Get the file again, or '
                'leave it out of the data'
            ) from error


def name_files_in_errors(dataset: object) -> None:
    """Let errors in the pipelines of a data set say which files they are of."""
    for each in _built(dataset):
        if type(each.pipeline) is Compose:
            each.pipeline = _NamingPipeline(each.pipeline)


def check_annotations(dataset: dict) -> list[str]:
    """Check annotations for what would make the libraries fail.

    Args:
        dataset: As for :func:`check_places`; its files are there. Its type is looked
            up in the current default scope.

    Returns:
        A line for each reason why something is left out, or of no use.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If a library would fail; the file and the record are named.
    """
    lines = []
    for config in _data_sets(dataset):
        path = Path(config.get('data_root') or '', config.get('ann_file') or '')
        if not path.is_file():
            continue
        if path.suffix == '.txt':
            read_plain_text(path)
        if (data_set := _class_of(config)) is None:
            continue
        if _reads_as(data_set, 'CrowdHumanDataset', 'load_data_list'):
            lines += _check_crowdhuman(config, path)
        elif reader := _reader(data_set, config):
            lines += _check_coco(config, path, reader, data_set)
    return lines


def check_scores(metric: object, config: object) -> None:
    """Check the annotations that a metric has read for what would make it fail.

    Args:
        metric: A metric; one that has read none is skipped.
        config: Its config.

    Raises:
        ValueError: If the metric would fail; the file and the record are named.
    """
    reader = {
        ('mmdet', 'CocoMetric'): BOX_SCORES,
        ('mmpose', 'CocoMetric'): POSE_SCORES,
        ('mmpose', 'CocoWholeBodyMetric'): WHOLE_BODY_SCORES,
    }.get((type(metric).__module__.partition('.')[0], type(metric).__name__))
    api = getattr(metric, '_coco_api', None) or getattr(metric, 'coco', None)
    if reader is None or api is None or metric.format_only:
        return
    if getattr(metric, 'use_area', False):
        reader = reader._replace(needed=f'{reader.needed} area')
    list(check_coco(Path(config['ann_file']), api.dataset, reader))


def _class_of(config: dict) -> type | None:
    if isinstance(config.get('type'), type):
        return config['type']
    with DATASETS.switch_scope_and_registry(None) as registry:
        return registry.get(config['type']) if 'type' in config else None


def _reads_as(data_set: type, name: str, *methods: str) -> bool:
    """Whether a class reads as another in its ancestry of this name does."""
    bases = {each.__name__: each for each in data_set.__mro__}
    return name in bases and all(
        getattr(data_set, method) is getattr(bases[name], method, None)
        for method in (*methods, 'parse_data_info')
    )


def _reader(data_set: type, config: dict) -> Reader | None:
    loading = ('load_data_list', '_load_annotations')
    if _reads_as(data_set, 'CocoWholeBodyDataset', *loading):
        return WHOLE_BODIES
    if _reads_as(data_set, 'BaseCocoStyleDataset', *loading):
        count = data_set._load_metainfo(config.get('metainfo'))['num_keypoints']
        return POSE._replace(keypoints=dict(keypoints=count))
    if hasattr(data_set, 'COCOAPI') and _reads_as(
        data_set, 'CocoDataset', 'load_data_list'
    ):
        return BOXES
    return None


def _check_coco(
    config: dict, path: Path, reader: Reader, data_set: type
) -> Iterator[str]:
    content = parse_json(read_plain_text(path), path)
    classes = ()
    if reader is BOXES:
        classes = (config.get('metainfo') or {}).get('classes')
        classes = classes or data_set.METAINFO.get('classes', ())
        classes = () if isinstance(classes, str) else classes
    elif boxes := config.get('bbox_file'):
        boxes = Path(boxes)
        images = image_ids(path, content, reader)
        check_detections(boxes, parse_json(read_plain_text(boxes), boxes), images)
        return
    yield from check_coco(path, content, reader, classes)


def _check_crowdhuman(config: dict, path: Path) -> Iterator[str]:
    records = read_crowdhuman(path)
    folder = Path(
        config.get('data_root') or '', (config.get('data_prefix') or {}).get('img', '')
    )
    images = {each['ID']: str(folder / f'{each["ID"]}.jpg') for each in records}
    require_files(path, '', list(images.values()), REMEDY)
    renew_sizes(sizes_file(config, path), images)
    yield from useless_boxes(path, records)
