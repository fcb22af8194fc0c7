"""Random inputs with random truths, as the pipelines of each library pack them."""

import importlib

import numpy as np
import torch
from mmengine.dataset import default_collate, pseudo_collate
from mmengine.structures import InstanceData, PixelData

from .stock import Stock, parts_of

Size = tuple[int, int]
_BATCH = 2


class NoInputs(Exception):
    """Inputs for a task cannot be made up; the message says of which."""


def trial_sizes(stock: Stock) -> list[Size]:
    """(h, w) of images to try: small ones, and if a model fails on them larger ones."""
    own = stock.size if max(stock.size) <= 512 else (256, 256)
    sizes = dict(
        mmdet=[(128, 128), own],
        mmseg=[(64, 64), (128, 128)],
        mmpretrain=[(64, 64), own],
        mmpose=[own],
    )
    return sizes[stock.library]


def random_batch(stock: Stock, size: Size) -> dict:
    """A batch of two images of ``size`` (h, w), as a data loader gives it.

    Raises:
        NoInputs: If it is not known what the task asks for.
    """
    make = dict(
        mmdet=_detection, mmpose=_pose, mmseg=_segmentation, mmpretrain=_classification
    )
    return make[stock.library](stock, size, np.random.default_rng(0))


def _noise(rng: np.random.Generator, size: Size) -> torch.Tensor:
    """Images [2, 3, h, w], uint8."""
    return torch.from_numpy(rng.integers(256, size=(_BATCH, 3, *size), dtype=np.uint8))


def _detection(stock: Stock, size: Size, rng: np.random.Generator) -> dict:
    """Boxes and labels; masks and a label map where the pipeline loads them."""
    from mmdet.structures import ReIDDataSample
    from mmdet.testing import demo_mm_inputs

    head = stock.model.get('head') or {}
    if 'ReID' in head.get('type', ''):
        labels = rng.integers(head['num_classes'], size=_BATCH).tolist()
        samples = [ReIDDataSample().set_gt_label(label) for label in labels]
        return dict(inputs=_noise(rng, size), data_samples=samples)
    things, stuff = _numbers_of_classes(stock.model)
    steps = list(stock.transforms())
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
            labels = sample.gt_sem_seg.sem_seg
            labels.copy_(
                torch.from_numpy(things + rng.integers(stuff, size=labels.shape))
            )
        if 'rpn_head' not in stock.model:
            boxes = sample.gt_instances.bboxes
            boxes = torch.cat([boxes + shift for shift in (0, 3, -3, 20)])
            sample.proposals = InstanceData(bboxes=boxes, scores=torch.ones(len(boxes)))
    return batch


def _numbers_of_classes(model: dict) -> tuple[int, int]:
    """Classes of things, and of stuff: the least that any part of the model has."""

    def found(key: str) -> list[int]:
        values = [part.get(key) for part in parts_of(model)]
        return [value for value in values if type(value) is int and value > 0]

    things = found('num_things_classes') or found('num_classes') or [1]
    return min(things), min(found('num_stuff_classes'), default=0)


def _segmentation(stock: Stock, size: Size, rng: np.random.Generator) -> dict:
    """A label map, and edges for the heads that learn them."""
    from mmseg.structures import SegDataSample

    counts = [p['num_classes'] for p in parts_of(stock.model) if 'num_classes' in p]
    samples = []
    for _ in range(_BATCH):
        # Blocks, so that every class keeps some pixels at the coarsest level.
        coarse = rng.integers(min(counts), size=(1, size[0] // 16, size[1] // 16))
        labels = torch.from_numpy(coarse.repeat(16, 1).repeat(16, 2))
        edges = torch.from_numpy(rng.integers(2, size=(1, *size)))
        sample = SegDataSample(metainfo=dict(img_shape=size, ori_shape=size))
        sample.gt_sem_seg = PixelData(data=labels)
        sample.gt_edge_map = PixelData(data=edges)
        samples.append(sample)
    return dict(inputs=list(_noise(rng, size)), data_samples=samples)


def _pose(stock: Stock, size: Size, rng: np.random.Generator) -> dict:
    """Keypoints, through the codec of the config's own pipeline."""
    transforms_of = importlib.import_module('mmpose.registry').TRANSFORMS
    wanted = ('GenerateTarget', 'PackPoseInputs')
    steps = {step['type']: step for step in stock.transforms()}
    if not set(wanted) <= steps.keys():
        raise NoInputs(f'its pipeline has no {" and ".join(wanted)}')
    count = _number_of_keypoints(stock.model['head'])
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


def _number_of_keypoints(head: dict) -> int:
    for key in ('num_keypoints', 'num_joints', 'out_channels'):
        for part in parts_of(head):
            if type(part.get(key)) is int:
                return part[key]
    raise NoInputs('its head does not say how many keypoints there are')


def _person(rng: np.random.Generator, size: Size, count: int, people: int) -> dict:
    """What MMPose's pipelines know before they make targets."""
    height, width = size
    corner = np.array([0.1 * width, 0.1 * height], dtype=np.float32)
    extent = np.array([0.8 * width, 0.8 * height], dtype=np.float32)
    keypoints = corner + extent * rng.random((people, count, 2), dtype=np.float32)
    boxes = np.tile(np.concatenate([corner, corner + extent]), (people, 1))
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


def _classification(stock: Stock, size: Size, rng: np.random.Generator) -> dict:
    """Labels; views without labels where the head has no classes."""
    from mmpretrain.structures import DataSample

    head = stock.model['head']
    count = head.get('num_classes')
    samples = [DataSample() for _ in range(_BATCH)]
    views = 0 if 'num_classes' in head else _views(stock)
    if views:
        images = [_noise(rng, size) for _ in range(views)]
        return dict(inputs=images if views > 1 else images[0], data_samples=samples)
    if type(count) is not int:
        raise NoInputs(f'it is not known what {head.get("type")} learns from')
    for sample in samples:
        if 'MultiLabel' in head['type'] or 'CSRA' in head['type']:
            sample.set_gt_score(torch.from_numpy(rng.random(count) < 0.5).float())
        else:
            sample.set_gt_label(int(rng.integers(count)))
    images = _noise(rng, size)
    pairs = zip(images, samples, strict=True)
    return default_collate([dict(inputs=i, data_samples=s) for i, s in pairs])


def _views(stock: Stock) -> int:
    """Views of each image that self-supervised learning takes."""
    for step in stock.transforms():
        if step['type'] == 'MultiView':
            number = step['num_views']
            return number if type(number) is int else sum(number)
    return 0
