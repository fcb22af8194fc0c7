"""Text-to-image retrieval: losses, metric, and processes."""

import math

import numpy as np
import pytest
import torch
from launch import ROOT, call, run_two
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from plain_retrieval import plain_scores
from written_formats import root

from saip_mm.checkpoints.files import read_checkpoint
from saip_mm.downstream.text_retrieval import TextRetrievalMetric, masked_language
from saip_mm.downstream.text_retrieval.masked_language import MASK, hide_tokens
from saip_mm.downstream.text_retrieval.model import match_distributions

pytest.importorskip('open_clip')
TINY = ROOT / 'tests/configs/tiny_text.py'


@pytest.mark.parametrize('temperature', [0.02, 1.0])
def test_matching_of_distributions_against_plain_loops(temperature):
    rng = np.random.default_rng(0)
    images, texts = rng.normal(size=(2, 7, 5))
    people = [0, 1, 1, 2, 0, 1, 3]
    total = 0
    for rows, columns in ((texts, images), (images, texts)):
        for row, person in zip(rows, people, strict=True):
            scores = [
                row @ x / np.linalg.norm(row) / np.linalg.norm(x) / temperature
                for x in columns
            ]
            weights = [math.exp(score) for score in scores]
            for weight, other in zip(weights, people, strict=True):
                p = weight / sum(weights)
                q = (other == person) / people.count(person)
                total += p * (math.log(p) - math.log(q + 1e-8)) / 7 if p else 0
    found = match_distributions(
        torch.tensor(images), torch.tensor(texts), torch.tensor(people), temperature
    )
    assert found.item() == pytest.approx(total, rel=1e-4)


def test_hidden_tokens():
    """Words only, in BERT's shares, and at least one of each caption."""
    torch.manual_seed(0)
    tokens = torch.zeros(4000, 77, dtype=torch.long)
    tokens[:, 0], tokens[:, 21] = 49406, 49407
    tokens[:, 1:21] = torch.randint(1, MASK, (4000, 20))
    tokens[0, 2:] = 0
    tokens[0, 2] = 49407  # a caption of one word
    seen, hidden = hide_tokens(tokens, 0.15)
    words = (tokens > 0) & (tokens < MASK)
    assert not (hidden & ~words).any() and hidden.any(dim=1).all()
    assert (seen == tokens)[~hidden].all()
    assert hidden[words].float().mean().item() == pytest.approx(0.15 + 0.002, abs=5e-3)
    masked, kept = seen[hidden] == MASK, seen[hidden] == tokens[hidden]
    assert masked.float().mean().item() == pytest.approx(0.8, abs=0.02)
    assert kept.float().mean().item() == pytest.approx(0.1, abs=0.02)
    nothing = torch.tensor([[49406, 49407] + [0] * 75])
    assert not hide_tokens(nothing, 0.15)[1].any()


@torch.no_grad()
def test_masked_language_against_plain_loops(monkeypatch):
    torch.manual_seed(0)
    head = masked_language.MaskedLanguageHead(128, 1, 0.15)
    text = MODELS.build(dict(type='CLIPText', width=64, num_layers=1, out_channels=128))
    tokens = torch.zeros(2, 77, dtype=torch.long)
    tokens[:, :5] = torch.tensor([49406, 320, 2533, 1000, 49407])
    seen, hidden = tokens.clone(), torch.zeros_like(tokens, dtype=torch.bool)
    for row, place in ((0, 1), (0, 3), (1, 2)):
        seen[row, place], hidden[row, place] = MASK, True
    image = torch.randn(2, 6, 128)
    monkeypatch.setattr(masked_language, 'hide_tokens', lambda *_: (seen, hidden))
    losses = []
    for row in range(2):
        words, patches = text(seen)[0][row], image[row]
        patches = head.norm_image(patches)
        x, _ = head.cross_attention(head.norm_text(words), patches, patches)
        (block,) = head.cross_blocks.resblocks
        y = block.ln_1(x)
        x = x + block.attn(y, y, y)[0]
        y = block.mlp.c_fc(block.ln_2(x))
        x = x + block.mlp.c_proj(y * (1.702 * y).sigmoid())
        first, _, norm, last = head.mlm_head
        y = first(head.norm(x))
        logits = last(norm(y * (1.702 * y).sigmoid()))
        for place in range(77):
            if hidden[row, place]:
                logs = logits[place].double().log_softmax(dim=0)
                losses.append(-logs[tokens[row, place]].item())
    found = head.loss(text, tokens, image)
    assert found.item() == pytest.approx(sum(losses) / len(losses), rel=1e-4)


def test_model_against_its_parts():
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='TextRetriever',
            backbone=dict(type='SAIPViT', img_size=(64, 32)),
            text=dict(type='CLIPText', width=64, num_layers=1, out_channels=64),
            num_classes=4,
            temperature=0.02,
        )
    )
    torch.nn.init.normal_(model.classifier.weight)
    images, tokens = torch.randn(3, 3, 64, 32), torch.randint(1, 40000, (3, 77))
    tokens[:, 9] = 49407
    labels = [2, 0, 2]
    samples = [
        DataSample(tokens=row[None]).set_gt_label(label)
        for row, label in zip(tokens, labels, strict=True)
    ]
    losses = model(images, samples, mode='loss')
    maps = model.backbone(images)[-1]
    patches = maps.flatten(2).mT @ model.projection.weight.T
    torch.testing.assert_close(model.embed_images(images)[:, 1:], patches)
    found = model.predict(images, samples)
    total = 0
    for sample, label in zip(found, labels, strict=True):
        for vector in (sample.feature, sample.text_features[0]):
            scores = (model.classifier.weight @ vector).tolist()
            total -= scores[label] - math.log(sum(map(math.exp, scores)))
    assert losses['loss_id'].item() == pytest.approx(total / 6, rel=1e-4)
    samples[1].set_gt_label(4)
    with pytest.raises(ValueError, match='at least 5 people, but model.num_classes=4'):
        model.loss(images, samples)


def evaluate(images, texts, people) -> list[float]:
    """mAP, mINP, rank-1, -5, -10 of images [N, C] and N arrays [n, C] of captions."""
    samples = [
        dict(
            feature=torch.tensor(image),
            text_features=torch.tensor(text),
            gt_label=torch.tensor([person]),
        )
        for image, text, person in zip(images, texts, people, strict=True)
    ]
    metric = TextRetrievalMetric()
    metric.process({}, samples[:2])
    metric.process({}, samples[2:])
    found = metric.evaluate(len(samples))
    names = ('mAP', 'mINP', 'rank1', 'rank5', 'rank10')
    return [found[f'text_retrieval/{name}'] for name in names]


@pytest.mark.parametrize('kind', ['random', 'tied', 'perfect', 'useless'])
def test_metric_against_plain_loops(kind):
    rng = np.random.default_rng(0)
    people = rng.integers(0, 12, 60)
    counts = rng.integers(1, 4, 60)
    looks = np.eye(12) if kind == 'perfect' else rng.normal(size=(12, 8))
    images = looks[people] if kind == 'perfect' else rng.normal(size=(60, 8))
    if kind == 'tied':
        images = looks[rng.integers(0, 12, 60)]
    texts = [np.tile(looks[p], (n, 1)) for p, n in zip(people, counts, strict=True)]
    if kind == 'useless':
        images, texts = np.ones((60, 8)), [np.ones((n, 8)) for n in counts]
    found = evaluate(
        images.astype(np.float32), [t.astype(np.float32) for t in texts], people
    )
    images, texts = (
        x / np.linalg.norm(x, axis=1, keepdims=True)
        for x in (images, np.concatenate(texts))
    )
    distances = np.round(-texts @ images.T, 9)
    owners = np.repeat(people, counts)
    *expected, _ = plain_scores(
        zip(row, people == owner, strict=True)
        for row, owner in zip(distances, owners, strict=True)
    )
    assert found == pytest.approx(expected, abs=1e-6)
    if kind == 'perfect':
        assert found == [1] * 5
    elif kind == 'useless':  # ties count as wrong
        assert found[2] == 0 and found[0] < 0.2


def test_metric_of_too_little():
    with pytest.raises(KeyError, match='lack text_features: the pipeline has to'):
        TextRetrievalMetric().process({}, [dict(feature=torch.ones(2), gt_label=1)])
    with pytest.raises(ValueError, match='not finite'):
        evaluate(np.full((3, 2), np.nan), [np.ones((1, 2))] * 3, [0, 1, 2])


def test_two_processes_of_half_the_batch_train_the_same(tmp_path):
    data = [
        f'{split}_dataloader.dataset.data_root={root("cuhk-pedes")}'
        for split in ('train', 'val', 'test')
    ]
    call('tools/train.py', TINY, '--work-dir', tmp_path / '1', '--cfg-options', *data)
    assert list((tmp_path / '1').glob('best_text_retrieval_rank1_*'))
    half = [*data, 'train_dataloader.batch_size=2']
    arguments = ['--work-dir', tmp_path / '2', '--cfg-options', *half]
    run_two(ROOT / 'tools/train.py', TINY, *arguments)
    one, two = (
        read_checkpoint(tmp_path / name / 'epoch_1.pth')['state_dict'] for name in '12'
    )
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-4, atol=2e-6, msg=name)
