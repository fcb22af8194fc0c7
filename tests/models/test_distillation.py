"""SAIP* against plain loops over images, crops, patches and heads."""

import pytest
import torch
import torch.nn.functional as F
from launch import ROOT
from mmengine.config import Config
from mmpretrain.registry import MODELS
from random_models import write_teacher
from tiny_views import tiny_views
from torch import nn

TINY_STAR = ROOT / 'tests/configs/tiny_star.py'


def star(folder, **distillation) -> nn.Module:
    cfg = Config.fromfile(TINY_STAR).model
    teacher = write_teacher(folder / 'teacher.pth')
    cfg.distillation.update(distillation)
    cfg.distillation.teacher.update(checkpoint=str(teacher), dtype='float64')
    torch.manual_seed(1)
    model = MODELS.build(cfg)
    model.init_weights()
    for name, parameter in model.named_parameters():
        if 'ln' in name or 'norm' in name:
            nn.init.normal_(parameter, 1, 0.1)
    return model.double().train()


def views() -> dict:
    return {
        name: view.double() if view.is_floating_point() else view
        for name, view in tiny_views(3).items()
    }


def tokens_and_maps(vit: nn.Module, images: torch.Tensor) -> tuple:
    """All tokens after the final norm, and attention of the last block, by hand."""
    x = vit.patch_embed(images)[0] + vit.pos_embed[:, 1:]
    x = torch.cat([(vit.cls_token + vit.pos_embed[:, :1]).expand(len(x), -1, -1), x], 1)
    for layer in vit.layers[:-1]:
        x = layer(x)
    last, maps = vit.layers[-1], []
    heads = last.attn.num_heads
    q, k, v = last.attn.qkv(last.ln1(x)).chunk(3, 2)
    for a, b in ((q, k), (v, v)):
        a, b = (each.chunk(heads, 2) for each in (a, b))
        maps.append([(i @ j.mT / i.shape[2] ** 0.5).softmax(2) for i, j in zip(a, b)])  # noqa: B905
    return vit.ln1(last(x)), maps


def test_losses_and_gradients_equal_plain_loops(tmp_path):
    model, inputs = star(tmp_path), views()
    losses = model.loss(inputs)
    head, vit = model.distillation, model.backbone
    with torch.no_grad():
        teacher = head.teacher.network.module
        taught = [tokens_and_maps(teacher, v) for v in inputs['globals'].unbind(1)]
    seen = [tokens_and_maps(vit, view) for view in inputs['globals'].unbind(1)]
    crops = [*inputs['locals'].unbind(1), inputs['roi'], inputs['inst']]
    crops = [tokens[:, 0] for tokens, _ in seen] + [
        vit.encode(crop).image_token for crop in crops
    ]
    classes, patches, attention = [], [], []
    for image in range(3):
        for target, _ in taught:
            for crop in crops:
                guess = head.class_mlp(crop[image])
                classes.append(1 - F.cosine_similarity(guess, target[image, 0], dim=0))
        for (ours, our_maps), (theirs, their_maps) in zip(seen, taught, strict=True):
            for token in range(1, 9):
                guess = head.patch_mlp(ours[image, token])
                target = theirs[image, token]
                patches.append(1 - F.cosine_similarity(guess, target, dim=0))
            for kind in range(2):
                for o, t in zip(our_maps[kind], their_maps[kind], strict=True):
                    for a, b in zip(o[image], t[image], strict=True):
                        attention.append((b * (b / a).log()).sum())
    expected = [torch.stack(each).mean() for each in (classes, patches, attention)]
    expected[2] = 2 * expected[2]  # a sum over the two kinds
    names = ['loss_distill_class', 'loss_distill_patch', 'loss_distill_attn']
    found = [losses[name] for name in names]
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    reached = [*vit.parameters(), *head.parameters()]
    gradients = torch.autograd.grad(sum(found), reached, allow_unused=True)
    plain = torch.autograd.grad(sum(expected), reached, allow_unused=True)
    torch.testing.assert_close(gradients, plain, rtol=1e-5, atol=1e-7)


def test_without_the_head_it_is_saip(tmp_path):
    """The teacher changes nothing else; gradients reach the student and its heads."""
    model, inputs = star(tmp_path), views()
    losses = model.loss(inputs)
    own = {name: loss for name, loss in losses.items() if 'distill' not in name}
    distillation, model.distillation = model.distillation, None
    torch.testing.assert_close(own, model.loss(inputs))
    sum(loss for name, loss in losses.items() if 'loss' in name).backward()
    reached = {
        n.split('.')[0] for n, p in model.named_parameters() if p.grad is not None
    }
    model.distillation = distillation
    heads = {'matching', 'reconstruction', 'search'}
    assert reached == {'backbone', 'middle_norm'} | heads
    assert all(p.grad is not None for p in distillation.parameters())
    network = distillation.teacher.network
    assert all(p.grad is None and not p.requires_grad for p in network.parameters())
    names = {n.split('.')[1] for n in model.state_dict() if n.startswith('distill')}
    assert names == {'class_mlp', 'patch_mlp'}


def test_factors_of_losses(tmp_path):
    model, inputs = star(tmp_path), views()
    head, plain = model.distillation, model.loss(inputs)
    head.class_weight, head.patch_weight, head.attention_weight = 2, 3, 5
    found = model.loss(inputs)
    for name, factor in (('class', 2), ('patch', 3), ('attn', 5)):
        name = f'loss_distill_{name}'
        torch.testing.assert_close(found[name], factor * plain[name])
    losses = star(tmp_path, patch_weight=0.0, attention_weight=0.0).loss(inputs)
    assert {name for name in losses if 'distill' in name} == {'loss_distill_class'}


def test_initial_weights(tmp_path):
    """Linear layers as in Glorot's paper, tokens and positions near zero."""
    adapter = MODELS.build(
        Config.fromfile(ROOT / 'tests/configs/tiny_dpal.py').model.adapter
    )
    adapter.init_weights()
    model = nn.ModuleList([star(tmp_path), adapter])
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear):
            bound = (6 / sum(layer.weight.shape)) ** 0.5
            assert 0.9 * bound < layer.weight.abs().max() <= bound, name
            assert not layer.bias.any(), name
    for name, parameter in model.named_parameters():
        if name.endswith(('_token', '_tokens', 'pos_embed')):
            assert 0.01 < parameter.std() < 0.03, name
    prototypes = model[0].matching.projector.prototypes
    bound = prototypes.shape[1] ** -0.5  # of torch's linear layers
    assert 0.9 * bound < prototypes.abs().max() <= bound


@pytest.mark.parametrize('config, channels', [('tinyvit', 12), ('cspnext', 133)])
def test_students_without_a_class_token(config, channels, tmp_path):
    """Maps of the teacher are averaged over the stride of the student's last map."""
    head = dict(Config.fromfile(TINY_STAR).model.distillation, in_channels=channels)
    head['teacher'] = dict(
        head['teacher'], checkpoint=write_teacher(tmp_path / 't.pth')
    )
    cfg = Config.fromfile(ROOT / f'tests/configs/tiny_{config}.py').model
    model = MODELS.build(dict(cfg, distillation=head))
    model.init_weights()
    inputs = tiny_views(2)
    losses = model.train().loss(inputs)
    assert losses.keys() >= {'loss_distill_class', 'loss_distill_patch'}
    assert 'loss_distill_attn' not in losses
    model.eval()  # of batch norms
    images = inputs['globals'][:, 0]
    taught = model.distillation.teacher(model, images)
    encoded = model.backbone.encode(images, until='maps')
    found = model.distillation.loss(encoded.image_token[None], encoded, taught)
    patches, (height, width) = [], encoded.last_map.shape[2:]
    for image in range(2):
        for row in range(height):
            for column in range(width):
                place = (slice(None), row, column)
                guess = model.distillation.patch_mlp(encoded.last_map[image][place])
                stride = 4 // height
                cells = taught.patch_map[image][
                    :, stride * row : stride * (row + 1), stride * column :
                ][..., :stride]
                target = cells.mean((1, 2))
                patches.append(1 - F.cosine_similarity(guess, target, dim=0))
    expected = torch.stack(patches).mean()
    torch.testing.assert_close(found['loss_distill_patch'], expected)


@pytest.mark.parametrize(
    'change, text',
    [
        (dict(out_channels=47), r'set model\.distillation\.out_channels=48'),
        (dict(in_channels=23), r'distillation\.in_channels=23'),
        (dict(heads=4), r"student's last block has 4 attention heads, the teacher's 6"),
    ],
)
def test_unsuitable_students(change, text, tmp_path):
    cfg = Config.fromfile(TINY_STAR).model
    cfg.distillation.teacher.checkpoint = write_teacher(tmp_path / 'teacher.pth')
    cfg.backbone.arch.num_heads = (3, change.pop('heads', 6))
    cfg.distillation.update(change)
    with pytest.raises(ValueError, match=text):
        MODELS.build(cfg).loss(tiny_views())
