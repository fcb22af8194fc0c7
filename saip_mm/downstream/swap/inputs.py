"""Random images with random targets, as packed by the pipelines of each library."""

import numpy as np
import torch
from mmengine.dataset import default_collate, pseudo_collate
from mmengine.structures import InstanceData, PixelData

from ...data.configs import parts_of
from .stock import Stock

_BATCH = 2


def random_batch(stock: Stock) -> dict:
    """A batch of two images of ``stock.trial_size``, as returned by a data loader.

    Raises:
        ValueError: If inputs for the task cannot be generated.
    """
    make = dict(
        mmdet=_detection, mmpose=_pose, mmseg=_segmentation, mmpretrain=_classification
    )
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(_BATCH, 3, *stock.trial_size), dtype=np.uint8)
    return make[stock.library](stock, torch.from_numpy(images), rng)


def _detection(stock: Stock, images: torch.Tensor, rng: np.random.Generator) -> dict:
    """Boxes and labels; masks and a label map if the pipeline loads them."""
    from mmdet.structures import ReIDDataSample
    from mmdet.testing import demo_mm_inputs

    head = stock.model.get('head') or {}
    if 'ReID' in head.get('type', ''):
        labels = rng.integers(head['num_classes'], size=_BATCH).tolist()
        samples = [ReIDDataSample().set_gt_label(label) for label in labels]
        return dict(inputs=images, data_samples=samples)
    stuff = min(_settings(stock.model, 'num_stuff_classes'), default=0)
    key = 'num_things_classes' if stuff else 'num_classes'
    things = min(_settings(stock.model, key), default=1)
    steps = list(stock.transforms())
    panoptic = any('Panoptic' in step['type'] for step in steps)
    masks = panoptic or any(step.get('with_mask') for step in steps)
    semantic = panoptic or any(step.get('with_seg') for step in steps)
    factor = [step['scale_factor'] for step in steps if step['type'] == 'SegRescale']
    coarse = round(1 / factor[0]) if factor else 1
    shapes = [tuple(image.shape) for image in images]
    batch = demo_mm_inputs(_BATCH, shapes, [4] * _BATCH, 3, coarse, masks, semantic)
    for sample in batch['data_samples']:
        sample.gt_instances.labels = torch.from_numpy(rng.integers(things, size=4))
        sample.ignored_instances = sample.ignored_instances[:0]
        if semantic and stuff:
            labels = sample.gt_sem_seg.sem_seg
            random = things + rng.integers(stuff, size=labels.shape)
            labels.copy_(torch.from_numpy(random))
        if 'rpn_head' not in stock.model:
            boxes = sample.gt_instances.bboxes
            boxes = torch.cat([boxes + shift for shift in (0, 3, -3, 20)])
            sample.proposals = InstanceData(bboxes=boxes, scores=torch.ones(len(boxes)))
    return batch


def _settings(config: dict, key: str) -> list[int]:
    """All positive values of a setting in a part of a config."""
    values = [part.get(key) for part in parts_of(config)]
    return [value for value in values if type(value) is int and value > 0]


def _segmentation(stock: Stock, images: torch.Tensor, rng: np.random.Generator) -> dict:
    """A label map, and a map of edges for the heads that predict them."""
    from mmseg.structures import SegDataSample

    size = height, width = images.shape[2:]
    classes = min(_settings(stock.model, 'num_classes'))
    samples = []
    for _ in images:
        # Blocks, so that every class keeps some pixels at the coarsest level.
        coarse = rng.integers(classes, size=(1, height // 16, width // 16))
        labels = torch.from_numpy(coarse.repeat(16, 1).repeat(16, 2))
        edges = torch.from_numpy(rng.integers(2, size=(1, *size)))
        sample = SegDataSample(metainfo=dict(img_shape=size, ori_shape=size))
        sample.gt_sem_seg = PixelData(data=labels)
        sample.gt_edge_map = PixelData(data=edges)
        samples.append(sample)
    return dict(inputs=list(images), data_samples=samples)


def _pose(stock: Stock, images: torch.Tensor, rng: np.random.Generator) -> dict:
    """Keypoints, encoded by the codec of the config's pipeline."""
    from mmpose.registry import TRANSFORMS

    steps = {step['type']: step for step in stock.transforms()}
    if not {'GenerateTarget', 'PackPoseInputs'} <= steps.keys():
        raise ValueError('the pipeline has no GenerateTarget and PackPoseInputs')
    encode = TRANSFORMS.build(steps['GenerateTarget'])
    pack = TRANSFORMS.build(steps['PackPoseInputs'])
    keys = ('num_keypoints', 'num_joints', 'out_channels')
    counts = [n for key in keys for n in _settings(stock.model['head'], key)]
    if not counts:
        raise ValueError('the head does not state the number of keypoints')
    people = 1 if 'Topdown' in stock.model['type'] else 2
    packed = []
    for index, image in enumerate(images):
        person = _people(rng, image.shape[1:], counts[0], people)
        person.update(img=image.permute(1, 2, 0).numpy(), img_id=index, id=index)
        packed.append(pack(encode(person)))
    return pseudo_collate(packed)


def _people(
    rng: np.random.Generator, size: tuple[int, int], count: int, people: int
) -> dict:
    """Annotations of people with ``count`` keypoints each, as MMPose names them."""
    extent = np.array(size[::-1], np.float32)
    keypoints = extent * rng.uniform(0.1, 0.9, (people, count, 2)).astype(np.float32)
    box = np.concatenate([0.1 * extent, 0.9 * extent])
    boxes = np.tile(box, (people, 1))
    return dict(
        img_shape=size,
        ori_shape=size,
        input_size=size[::-1],
        input_center=extent / 2,
        input_scale=extent,
        keypoints=keypoints,
        transformed_keypoints=keypoints.copy(),
        keypoints_visible=np.ones((people, count), np.float32),
        dataset_keypoint_weights=np.ones(count, np.float32),
        flip_indices=list(range(count)),
        bbox=boxes,
        bboxes=boxes,
        bbox_score=np.ones(people, np.float32),
        bbox_scale=np.tile(0.8 * extent, (people, 1)),
        area=np.full(people, (0.8 * extent).prod(), np.float32),
        category_id=[1] * people,
        heatmap_mask=np.ones(size, np.uint8),
        mask_invalid=np.zeros(size, np.uint8),
        head_size=np.ones((people, 1), np.float32),
    )


def _classification(
    stock: Stock, images: torch.Tensor, rng: np.random.Generator
) -> dict:
    """Labels; views without labels for heads without classes."""
    from mmpretrain.structures import DataSample

    head, samples = stock.model['head'], [DataSample() for _ in images]
    multi = [s['num_views'] for s in stock.transforms() if s['type'] == 'MultiView']
    if multi and 'num_classes' not in head:
        views = multi[0] if type(multi[0]) is int else sum(multi[0])
        inputs = [images.roll(view, 3) for view in range(views)]
        return dict(inputs=inputs if views > 1 else images, data_samples=samples)
    count = head.get('num_classes')
    if type(count) is not int:
        raise ValueError(f'inputs for {head.get("type")} cannot be generated')
    for sample in samples:
        if 'MultiLabel' in head['type'] or 'CSRA' in head['type']:
            sample.set_gt_score(torch.from_numpy(rng.random(count) < 0.5).float())
        else:
            sample.set_gt_label(int(rng.integers(count)))
    pairs = zip(images, samples, strict=True)
    return default_collate([dict(inputs=i, data_samples=s) for i, s in pairs])
