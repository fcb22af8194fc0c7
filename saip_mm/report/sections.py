"""What the sections of a report say, and those that show pictures, as HTML."""

import numpy as np
import torch
from torch import Tensor

from ..data.views import Crop
from ..evaluation import Subject
from ..models import SAIP
from . import page
from .glimpses import attention, nearest, reconstruct, search
from .model import image_tokens, prepare
from .panels import INST, describe, make_panels, outline, picture
from .people import Gallery, Sample
from .pictures import heat
from .work_dir import Unavailable

LOSSES = (
    'Means of the last ten steps, as training logs them. Where a run was resumed, its '
    'values replace those of the steps that it repeated.'
)
PROBES = (
    'What frozen features of the teacher are good for, on held-out people. Higher is '
    'better, but for the losses of reconstruction. Stranger: with the query or anchor '
    'of another person; gain: by how much the right person is better.'
)
VIEWS = (
    'What the model is shown: the source with the boxes of the anchor (green) and of '
    'roi (red), all views, and a scene into which both are pasted, with the tokens '
    'that count as theirs.'
)
RECONSTRUCTION = (
    'Most patches of a person are removed (grey) and predicted from the rest and the '
    'anchor view. The head predicts patches of mean 0 and variance 1; mean and '
    'deviation of each true patch are lent to its prediction, so colour and contrast '
    'of a patch are given, what is drawn in it is not. Visible patches are the true '
    'ones.'
)
SEARCH = (
    'A person is pasted into a scene, its true place outlined. The head is asked where '
    'the query is: bright is where it believes so, with one scale of colours for both '
    'maps of a row; below are its mean probabilities in and out of the place. '
    'For a stranger, who is not in the scene, nothing should light up. The scene holds '
    'a second, partial crop of the same person, which is not asked for here.'
)
ATTENTION = (
    'Attention of the class token over the patches in the last block of the teacher: '
    'mean of the heads and each head. Every map goes from its lowest share (dark) to '
    'its highest (bright), given below it.'
)
NEIGHBOURS = (
    'A query and the images whose image tokens of the teacher are most like its own, '
    'the nearest first, with random weights and now. Where identities are known, a '
    'green frame is the same person, a dashed red one somebody else; as in '
    're-identification, images of that person by the same camera are left out.'
)
ENVIRONMENT = 'Where the training ran, as its log says, and where this page was made.'
CONFIG = 'All settings of the training, as it wrote them down.'


def show_views(samples: list[Sample]) -> str:
    """What every sample is made into."""
    rows = []
    for sample in samples:
        panels = make_panels(sample.results, sample.inputs)
        figures = [
            page.figure(image, f'{text} of a training sample', text)
            for text, image in panels
        ]
        rows.append(page.row(figures, title=describe(sample.results)))
    return ''.join(rows)


def show_reconstruction(model: SAIP, samples: list[Sample]) -> str:
    """Anchor, masked view, prediction and original of every sample."""
    if model.reconstruction is None:
        raise Unavailable('This model has no reconstruction head: an ablation.')
    inputs = prepare(model, samples)
    filling = reconstruct(model, inputs)
    rows = []
    for i, sample in enumerate(samples):
        pictures = [
            ('anchor', sample.inputs['globals'][0], 'The anchor view of a person'),
            ('masked', filling.masked[i], 'The person with most patches removed'),
            ('predicted', filling.filled[i], 'The removed patches predicted'),
            ('original', filling.original[i], 'The person as it was'),
        ]
        figures = [page.figure(image, alt, name) for name, image, alt in pictures]
        rows.append(page.strip(figures))
    return page.columns(rows)


def show_search(model: SAIP, samples: list[Sample]) -> str:
    """Heat maps over every scene for the right query and for a stranger's."""
    if model.search is None:
        raise Unavailable('This model has no search head: an ablation.')
    if len(samples) < 2:
        raise Unavailable('There is no second person to be the stranger.')
    places = search(model, prepare(model, samples))
    rows = []
    for i, sample in enumerate(samples):
        stranger = samples[(i + 1) % len(samples)]
        high = max(places.right[i].max(), places.stranger[i].max()).item()
        scene = picture(sample.inputs['scene'])
        outline(scene, _place(sample), INST)
        right = [
            page.figure(scene, 'A scene, the true place outlined', 'scene'),
            _query(sample, 'query'),
            _heat_map(sample, places.right[i], high, 'query'),
        ]
        wrong = [
            _query(stranger, 'stranger'),
            _heat_map(sample, places.stranger[i], high, 'stranger'),
        ]
        rows.append(page.row(map(page.together, (right, wrong))))
    return ''.join(rows)


def show_attention(model: SAIP, gallery: Gallery, count: int = 6) -> str:
    """Where the class token looks: mean of the heads, then every head."""
    chosen = np.linspace(0, len(gallery.images) - 1, count).round().astype(int)
    images = gallery.images[np.unique(chosen)]
    maps = attention(model, images)
    if maps is None:
        raise Unavailable('This backbone has no attention.')
    rows = []
    for image, heads in zip(images, maps, strict=True):
        shown = {'mean': heads.mean(dim=0)}
        shown |= {f'head {i + 1}': head for i, head in enumerate(heads[:6])}
        figures = [page.figure(image, 'A person', 'image')]
        for name, values in shown.items():
            low, high = values.min().item(), values.max().item()
            caption = f'{name}\n{100 * low:.1f}–{100 * high:.1f}%'
            warm = heat(image, values, low, high)
            figures.append(page.figure(warm, f'Attention, {name}', caption))
        rows.append(page.strip(figures))
    return page.columns(rows)


def show_neighbours(
    subjects: dict[str, Subject], gallery: Gallery, num_queries: int = 6
) -> str:
    """Rows of a query and its nearest neighbours, by the features of every subject."""
    if len(gallery.images) < 2:
        raise Unavailable('There is only one image, which has no neighbours.')
    queries = _choose_queries(gallery, num_queries)
    ranked = {
        name: nearest(image_tokens(subject, gallery.images), gallery, queries)
        for name, subject in subjects.items()
    }
    parts = []
    for name, found in ranked.items():
        rows = [
            _neighbours(gallery, query, neighbours)
            for query, neighbours in zip(queries, found, strict=True)
        ]
        score = _share_right(gallery, queries, found)
        parts.append(f'<h3>{name}{score}</h3>{"".join(rows)}')
    return _share_kept(*ranked.values()) + page.columns(parts)


def _share_kept(before: list[np.ndarray], now: list[np.ndarray]) -> str:
    """How many neighbors are what they were; a word of warning if nearly all are."""
    kept = int((np.stack(before) == np.stack(now)).sum())
    total = np.stack(now).size
    text = f'{kept} of {total} neighbors are the same, rank by rank, before and now.'
    if kept < 0.9 * total:
        return f'<p>{text}</p>'
    return page.missing(
        f'{text} The teacher is still much as it began: train longer, or lower its '
        'momentum (default_hooks.saip.max_start_share).'
    )


def _query(sample: Sample, name: str) -> str:
    return page.figure(sample.inputs['globals'][0], f'The {name}: a person', name)


def _place(sample: Sample) -> Crop:
    """Where the whole person was pasted into the scene."""
    views = sample.results['views']
    return Crop(*views.places[0], *views.roi.size)


def _heat_map(sample: Sample, values: Tensor, high: float, whose: str) -> str:
    """The map, with its mean probability inside and outside of the true place."""
    scene, crop = sample.inputs['scene'], _place(sample)
    warm = heat(scene, values, 0, high)
    outline(warm, crop, INST)
    side = scene.shape[-1] // values.shape[-1]
    pixels = values.repeat_interleave(side, 0).repeat_interleave(side, 1)
    inside = torch.zeros_like(pixels, dtype=torch.bool)
    bottom, right = crop.top + crop.height, crop.left + crop.width
    inside[crop.top : bottom, crop.left : right] = True
    within, without = pixels[inside].mean(), pixels[~inside].mean()
    caption = f'{whose}: {within:.2f} in, {without:.2f} out'
    return page.figure(warm, f'Where the {whose} is found in the scene', caption)


def _choose_queries(gallery: Gallery, count: int) -> np.ndarray:
    """Images of different people, evenly spread."""
    candidates = np.arange(len(gallery.images))
    if gallery.identities is not None:
        _, candidates = np.unique(gallery.identities, return_index=True)
    chosen = np.linspace(0, len(candidates) - 1, min(count, len(candidates)))
    return candidates[chosen.round().astype(int)]


def _neighbours(gallery: Gallery, query: int, neighbours: np.ndarray) -> str:
    figures = [page.figure(gallery.images[query], 'Query', 'query', 'query')]
    for rank, index in enumerate(neighbours, 1):
        kind, caption = '', str(rank)
        if gallery.identities is not None:
            same = gallery.identities[index] == gallery.identities[query]
            kind = 'right' if same else 'wrong'
            caption = f'{rank} {"✓ same" if same else "✗ other"}'
        alt = f'Neighbour {caption}'
        figures.append(page.figure(gallery.images[index], alt, caption, kind))
    return page.strip(figures, 'neighbours')


def _share_right(
    gallery: Gallery, queries: np.ndarray, ranked: list[np.ndarray]
) -> str:
    if gallery.identities is None:
        return ''
    right = [
        gallery.identities[neighbours] == gallery.identities[query]
        for query, neighbours in zip(queries, ranked, strict=True)
    ]
    right = torch.from_numpy(np.concatenate(right))
    return f': {int(right.sum())} of {len(right)} neighbours right'
