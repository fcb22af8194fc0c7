"""Random inputs with random truths, as the pipelines of each library pack them."""

import importlib
from collections.abc import Iterator

import numpy as np
import torch
from mmengine.dataset import default_collate, pseudo_collate
from mmengine.structures import InstanceData, PixelData

from .sizes import transforms
from .stock import Stock

Size = tuple[int, int]
_BATCH = 2


class NoInputs(Exception):
    """Inputs for a task cannot be made up; the message says of which."""


def trial_sizes(stock: Stock) -> list[Size]:
    """(h, w) of images to try: small ones, and if a model fails on them larger ones."""
    own = stock.size if max(stock.size) <= 512 else (256, 256)
    small = dict(mmdet=(128, 128), mmseg=(64, 64), mmpretrain=(64, 64))
    if stock.library == 'mmseg':
        own = 128, 128
    return [small[stock.library], own] if stock.library in small else [own]


def random_batch(stock: Stock, size: Size) -> dict:
    """A batch of two images, as a data loader gives it.

    Args:
        stock: The config for whose model it is.
        size: (h, w) of the images.

    Raises:
        NoInputs: If it is not known what the task asks for.
    """
    rng = np.random.default_rng(0)
    make = dict(mmdet=_detection, mmpose=_pose, mmseg=_segmentation)
    return make.get(stock.library, _images)(stock, size, rng)


def _detection(stock: Stock, size: Size, rng: np.random.Generator) -> dict:
    """Boxes and labels; masks and a label map where the pipeline loads them."""
    from mmdet.structures import ReIDDataSample
    from mmdet.testing import demo_mm_inputs

    head = stock.model.get('head') or {}
    if 'ReID' in head.get('type', ''):
        labels = [int(each) for each in rng.integers(head['num_classes'], size=_BATCH)]
        samples = [ReIDDataSample().set_gt_label(label) for label in labels]
        return dict(inputs=_noise(rng, size), data_samples=samples)
    things, stuff = _numbers_of_classes(stock.model)
    steps = list(transforms(stock.cfg))
    panoptic = any('Panoptic' in step['type'] for step in steps)
    masks = panoptic or any(step.get('with_mask') for step in steps)
    semantic = panoptic or any(step.get('with_seg') for step in steps)
    factor = [step['scale_factor'] for step in steps if step['type'] == 'SegRescale']
    coarse = round(1 / factor[0]) if factor else 1
    batch = demo_mm_inputs(
        _BATCH, [(3, *size)] * _BATCH, [4] * _BATCH, 3, coarse, masks, semantic
    )
    for sample in batch['data_samples']:
        sample.gt_instances.labels = torch.from_numpy(rng.integers(things, size=4))
        sample.ignored_instances = sample.ignored_instances[:0]
        if semantic and stuff:
            label_map = sample.gt_sem_seg.sem_seg
            label_map.copy_(
                torch.from_numpy(things + rng.integers(stuff, size=label_map.shape))
            )
        if 'rpn_head' not in stock.model:
            boxes = sample.gt_instances.bboxes
            boxes = torch.cat([boxes + shift for shift in (0, 3, -3, 20)])
            sample.proposals = InstanceData(bboxes=boxes, scores=torch.ones(len(boxes)))
    return batch


def _numbers_of_classes(model: dict) -> tuple[int, int]:
    """Classes of things, and of stuff."""
    counts = {'num_classes': [], 'num_things_classes': [], 'num_stuff_classes': []}
    for key, value in _items(model):
        if key in counts and type(value) is int and value > 0:
            counts[key].append(value)
    things = counts['num_things_classes'] or counts['num_classes'] or [1]
    return min(things), min(counts['num_stuff_classes'] or [0])


def _items(part: object) -> Iterator[tuple[str, object]]:
    if isinstance(part, dict):
        for key, value in part.items():
            yield key, value
            yield from _items(value)
    elif isinstance(part, list | tuple):
        for each in part:
            yield from _items(each)


def _segmentation(stock: Stock, size: Size, rng: np.random.Generator) -> dict:
    """A label map, and edges for the heads that learn them."""
    from mmseg.structures import SegDataSample

    counts = [n for key, n in _items(stock.model) if key == 'num_classes']
    samples = []
    for _ in range(_BATCH):
        # Blocks, so that every class keeps some pixels at the coarsest level.
        coarse = rng.integers(min(counts), size=(1, size[0] // 16, size[1] // 16))
        labels = torch.from_numpy(coarse.repeat(16, 1).repeat(16, 2))
        sample = SegDataSample(metainfo=dict(img_shape=size, ori_shape=size))
        sample.gt_sem_seg = PixelData(data=labels)
        edges = torch.from_numpy(rng.integers(2, size=(1, *size)))
        sample.gt_edge_map = PixelData(data=edges)
        samples.append(sample)
    return dict(inputs=list(_noise(rng, size)), data_samples=samples)


def _pose(stock: Stock, size: Size, rng: np.random.Generator) -> dict:
    """Keypoints, through the codec of the config's own pipeline."""
    transforms_of = importlib.import_module('mmpose.registry').TRANSFORMS
    wanted = ('GenerateTarget', 'PackPoseInputs')
    steps = {step['type']: step for step in transforms(stock.cfg)}
    if not set(wanted) <= steps.keys():
        raise NoInputs(f'its pipeline has no {" and ".join(wanted)}')
    count = _number_of_keypoints(stock.model)
    encode, pack = (transforms_of.build(steps[name]) for name in wanted)
    people = 1 if 'Topdown' in stock.model['type'] else 2
    packed = []
    for index in range(_BATCH):
        person = _person(rng, size, count, people)
        image = rng.integers(256, size=(*size, 3), dtype=np.uint8)
        person.update(img=image, img_id=index, id=index)
        try:
            packed.append(pack(encode(person)))
        except Exception as error:  # a codec that asks for more than 2D keypoints
            raise NoInputs(f'its codec fails on random people: {error!r}') from error
    return pseudo_collate(packed)


def _number_of_keypoints(model: dict) -> int:
    heads = [model['head'], *(part for _, part in _items(model['head']))]
    for key in ('num_keypoints', 'num_joints', 'out_channels'):
        for head in heads:
            if isinstance(head, dict) and type(head.get(key)) is int:
                return head[key]
    raise NoInputs('its head does not say how many keypoints there are')


def _person(rng: np.random.Generator, size: Size, count: int, people: int) -> dict:
    """What MMPose's pipelines know before they make targets."""
    height, width = size
    corner = np.array([0.1 * width, 0.1 * height], dtype=np.float32)
    extent = np.array([0.8 * width, 0.8 * height], dtype=np.float32)
    keypoints = corner + extent * rng.random((people, count, 2), dtype=np.float32)
    box = np.concatenate([corner, corner + extent])
    boxes = np.tile(box, (people, 1))
    return dict(
        img_shape=size,
        ori_shape=size,
        input_size=(width, height),
        input_center=np.array([width / 2, height / 2], dtype=np.float32),
        input_scale=np.array([width, height], dtype=np.float32),
        keypoints=keypoints,
        transformed_keypoints=keypoints.copy(),
        keypoints_visible=np.ones((people, count), dtype=np.float32),
        dataset_keypoint_weights=np.ones(count, dtype=np.float32),
        flip_indices=list(range(count)),
        bbox=boxes,
        bboxes=boxes,
        bbox_score=np.ones(people, dtype=np.float32),
        bbox_scale=np.tile(extent, (people, 1)),
        area=np.full(people, extent.prod(), dtype=np.float32),
        category_id=[1] * people,
        heatmap_mask=np.ones(size, dtype=np.uint8),
        mask_invalid=np.zeros(size, dtype=np.uint8),
        head_size=np.ones((people, 1), dtype=np.float32),
    )


def _images(stock: Stock, size: Size, rng: np.random.Generator) -> dict:
    """Labels for a classifier; views without labels where the head has no classes."""
    from mmpretrain.structures import DataSample

    head = stock.model['head']
    count = head.get('num_classes')
    views = _views(stock)
    if not views and type(count) is not int:
        raise NoInputs(f'it is not known what {head.get("type")} learns from')
    samples = []
    for _ in range(_BATCH):
        sample = DataSample()
        if not views and ('MultiLabel' in head['type'] or 'CSRA' in head['type']):
            sample.set_gt_score(torch.from_numpy(rng.random(count) < 0.5).float())
        elif not views:
            sample.set_gt_label(int(rng.integers(count)))
        samples.append(dict(inputs=_noise(rng, size)[0], data_samples=sample))
    if not views:
        return default_collate(samples)
    images = [_noise(rng, size) for _ in range(views)]
    return dict(
        inputs=images if views > 1 else images[0],
        data_samples=[each['data_samples'] for each in samples],
    )


def _views(stock: Stock) -> int:
    """Views of each image that self-supervised learning takes; 0 for a classifier."""
    head = stock.model['head']
    if 'num_classes' in head:
        return 0
    for step in transforms(stock.cfg):
        if step['type'] == 'MultiView':
            number = step['num_views']
            return number if type(number) is int else sum(number)
    return 0


def _noise(rng: np.random.Generator, size: Size) -> torch.Tensor:
    """Images [2, 3, h, w], uint8."""
    return torch.from_numpy(rng.integers(256, size=(_BATCH, 3, *size), dtype=np.uint8))
