"""Checks that the data of a config exist and can be used."""

from collections.abc import Iterator
from os import PathLike
from pathlib import Path

from mmengine.dataset import BaseDataset, Compose
from mmengine.registry import DATASETS

from ..coco import read_json, read_plain_text
from ..folders import require_files
from . import coco, crowdhuman

REMEDY = 'unpack all of the data, or remove these from the annotations'
METRICS = {
    ('mmdet', 'CocoMetric'): coco.BOX_SCORES,
    ('mmpose', 'CocoMetric'): coco.POSE_SCORES,
    ('mmpose', 'CocoWholeBodyMetric'): coco.WHOLE_BODY_SCORES,
}


def check_places(dataset: dict) -> None:
    """Check that the files and folders named by the config of a data set exist.

    Args:
        dataset: Config of a data set, or of a wrapper of data sets.

    Raises:
        FileNotFoundError: One does not; lists what is there instead.
    """
    for path in places(dataset):
        if path.exists():
            continue
        above = next(folder for folder in path.absolute().parents if folder.is_dir())
        found = sorted(entry.name for entry in above.iterdir())
        some = ', '.join(found[:8]) + (', …' if len(found) > 8 else '')
        raise FileNotFoundError(
            f'{path}: no such file or folder; {above} holds {some or "nothing"}. '
            'docs/downstream.md shows the layouts; set data_root of the data set to a '
            'folder with this layout'
        )


def places(config: dict) -> Iterator[Path]:
    """Yield the files and folders named by the config of a data set."""
    for each in _configs(config):
        root = Path(each.get('data_root') or '')
        below = [each.get('ann_file'), *(each.get('data_prefix') or {}).values()]
        yield from (root / path for path in below if isinstance(path, str | PathLike))
        if each.get('bbox_file'):
            yield Path(each['bbox_file'])


def _configs(config: dict) -> Iterator[dict]:
    """Yield the config of a data set and of those that it wraps."""
    yield config
    for each in [config.get('dataset'), *(config.get('datasets') or ())]:
        if isinstance(each, dict):
            yield from _configs(each)


def check_images(dataset: object) -> None:
    """Check that the images and label maps named by annotations exist.

    Args:
        dataset: Data set; ignored if it is not one of MMEngine.

    Raises:
        FileNotFoundError: Some are missing.
    """
    for each in _built(dataset):
        entries = [each.get_data_info(index) for index in range(len(each))]
        for key in ('img_path', 'seg_map_path'):
            paths = dict.fromkeys(entry[key] for entry in entries if entry.get(key))
            require_files(each.ann_file or each.data_root, '', list(paths), REMEDY)


def _built(dataset: object) -> Iterator[BaseDataset]:
    """Yield MMEngine's data sets among a data set and those that it wraps."""
    if isinstance(dataset, BaseDataset):
        yield dataset
    for each in getattr(dataset, 'datasets', [getattr(dataset, 'dataset', None)]):
        if each is not None:
            yield from _built(each)


class _NamingPipeline(Compose):
    """Pipeline whose errors name the files of the sample."""

    def __init__(self, pipeline: Compose) -> None:
        self.transforms = pipeline.transforms

    def __call__(self, data: dict) -> dict | None:
        files = [data[k] for k in ('img_path', 'seg_map_path') if data.get(k)]
        try:
            return super().__call__(data)
        except Exception as error:
            if not files or any(str(file) in str(error) for file in files):
                raise
            existing = [file for file in files if Path(file).exists()]
            empty = [file for file in existing if not Path(file).stat().st_size]
            reason = 'empty' if empty else f'{type(error).__name__}: {error}'
            raise ValueError(
                f'{" with ".join(empty or files)}: {reason}. Get a new copy of the '
                'file, or remove it from the data'
            ) from error


def name_files_in_errors(dataset: object) -> None:
    """Make errors in the pipelines of a data set name the files of the sample."""
    for each in _built(dataset):
        if type(each.pipeline) is Compose:
            each.pipeline = _NamingPipeline(each.pipeline)


def check_annotations(dataset: dict) -> list[str]:
    """Check annotations for what would make the libraries fail.

    Args:
        dataset: Config as for :func:`check_places`, whose files exist. Its type is
            looked up in the current default scope.

    Returns:
        One line per reason why annotations have no effect.

    Raises:
        OSError: A file cannot be read.
        ValueError: A library would fail; names file and record.
    """
    lines = []
    for config in _configs(dataset):
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
    """Check the annotations of a metric for what would make it fail.

    Args:
        metric: Metric; ignored if it has read no annotations.
        config: Its config.

    Raises:
        ValueError: The metric would fail; names file and record.
    """
    library = type(metric).__module__.partition('.')[0]
    reader = METRICS.get((library, type(metric).__name__))
    api = getattr(metric, '_coco_api', None) or getattr(metric, 'coco', None)
    if reader is None or api is None or metric.format_only:
        return
    if getattr(metric, 'use_area', False):
        reader = reader._replace(required=f'{reader.required} area')
    list(coco.check_coco(Path(config['ann_file']), api.dataset, reader))


def _class_of(config: dict) -> type | None:
    if isinstance(config.get('type'), type):
        return config['type']
    with DATASETS.switch_scope_and_registry(None) as registry:
        return registry.get(config['type']) if 'type' in config else None


def _reads_as(data_set: type, name: str, *methods: str) -> bool:
    """Return whether a class inherits reading from a class with this name."""
    bases = {each.__name__: each for each in data_set.__mro__}
    return name in bases and all(
        getattr(data_set, method) is getattr(bases[name], method, None)
        for method in (*methods, 'parse_data_info')
    )


def _reader(data_set: type, config: dict) -> coco.Reader | None:
    loading = ('load_data_list', '_load_annotations')
    if _reads_as(data_set, 'CocoWholeBodyDataset', *loading):
        return coco.WHOLE_BODIES
    if _reads_as(data_set, 'BaseCocoStyleDataset', *loading):
        count = data_set._load_metainfo(config.get('metainfo'))['num_keypoints']
        return coco.POSE._replace(keypoints=dict(keypoints=count))
    is_mmdet = hasattr(data_set, 'COCOAPI')
    if is_mmdet and _reads_as(data_set, 'CocoDataset', 'load_data_list'):
        return coco.BOXES
    return None


def _check_coco(
    config: dict, path: Path, reader: coco.Reader, data_set: type
) -> Iterator[str]:
    content, classes = read_json(path), ()
    if reader is coco.BOXES:
        classes = (config.get('metainfo') or {}).get('classes')
        classes = classes or data_set.METAINFO.get('classes', ())
        classes = () if isinstance(classes, str) else classes
    elif boxes := config.get('bbox_file'):
        images = coco.image_ids(path, content, reader)
        coco.check_detections(Path(boxes), read_json(Path(boxes)), images)
        return
    yield from coco.check_coco(path, content, reader, classes)


def _check_crowdhuman(config: dict, path: Path) -> Iterator[str]:
    records = crowdhuman.read_crowdhuman(path)
    prefix = (config.get('data_prefix') or {}).get('img', '')
    folder = Path(config.get('data_root') or '', prefix)
    images = {each['ID']: str(folder / f'{each["ID"]}.jpg') for each in records}
    require_files(path, '', list(images.values()), REMEDY)
    crowdhuman.update_sizes(config, path, images)
    yield from crowdhuman.useless_boxes(path, records)
