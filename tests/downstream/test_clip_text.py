"""CLIP's tokens and text encoder, compared with a plain tokenizer and open_clip."""

import gzip
import html
import os
import pickle
import re
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS, TRANSFORMS
from trap import Trap

from saip_mm.checkpoints.torchscript import read_torchscript
from saip_mm.downstream.text_retrieval import clip
from saip_mm.drawn.captions import describe
from saip_mm.drawn.wardrobe import Outfit

open_clip = pytest.importorskip('open_clip')
BYTES = [*range(33, 127), *range(161, 173), *range(174, 256)]
ORDER = [*BYTES, *(b for b in range(256) if b not in BYTES)]
LETTERS = {b: chr(b if b in BYTES else 256 + i - 188) for i, b in enumerate(ORDER)}


def plain_tokens(caption: str, merges: list[tuple], numbers: dict) -> list[int]:
    """Byte-pair encoding, one merge of the lowest rank at a time (ASCII captions)."""
    text = ' '.join(html.unescape(caption).split()).lower()
    tokens = [49406]
    for word in re.findall(r"'s|'t|'re|'ve|'m|'ll|'d|[a-z]+|\d|[^\sa-z\d]+", text):
        parts = [LETTERS[b] for b in word.encode()]
        parts[-1] += '</w>'
        while pairs := set(zip(parts, parts[1:], strict=False)) & merges.keys():
            first, second = min(pairs, key=merges.get)
            merged, i = [], 0
            while i < len(parts):
                if parts[i : i + 2] == [first, second]:
                    merged.append(first + second)
                    i += 2
                else:
                    merged.append(parts[i])
                    i += 1
            parts = merged
        tokens += [numbers[part] for part in parts]
    return [*tokens[:76], 49407]


def test_tokens_of_1000_captions():
    path = open_clip.tokenizer.default_bpe()
    lines = (
        gzip.decompress(Path(path).read_bytes())
        .decode()
        .split('\n')[1 : 49152 - 256 - 2 + 1]
    )
    merges = {tuple(line.split()): rank for rank, line in enumerate(lines)}
    letters = [LETTERS[b] for b in ORDER]
    vocabulary = [*letters, *(x + '</w>' for x in letters), *map(''.join, merges)]
    numbers = {token: number for number, token in enumerate(vocabulary)}
    captions = ["It's a man's 2nd T-shirt, size 42!? ", 'very long ' * 250, 'A&amp;B']
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        person = SimpleNamespace(outfit=Outfit(rng), yaw=rng.uniform(-3, 3))
        captions.append(describe(person, 0.8, rng))
    transform = TRANSFORMS.build(dict(type='TokenizeCaptions'))
    found = transform(dict(captions=captions))['tokens']
    assert found.shape == (1003, 77)
    for row, caption in zip(found.tolist(), captions, strict=True):
        expected = plain_tokens(caption, merges, numbers)
        assert row == expected + [0] * (77 - len(expected)), caption


def small_clip(custom: bool = False, quick_gelu: bool = True) -> torch.nn.Module:
    torch.manual_seed(0)
    kind = open_clip.model.CustomTextCLIP if custom else open_clip.model.CLIP
    image = open_clip.model.CLIPVisionCfg(
        layers=1, width=64, patch_size=16, image_size=32
    )
    text = open_clip.model.CLIPTextCfg(width=64, heads=1, layers=2)
    return kind(32, image, text, quick_gelu=quick_gelu).eval()


def save(model: torch.nn.Module, path, how: str) -> None:
    if how == 'archive':
        image, text = torch.zeros(1, 3, 32, 32), torch.zeros(1, 77, dtype=torch.long)
        inputs = dict(forward=(image, text), encode_text=(text,))
        with pytest.warns(FutureWarning):
            torch.jit.save(torch.jit.trace_module(model, inputs), path)
    elif how == 'state dict':
        torch.save(model.state_dict(), path)
    elif how == 'hugging face':
        torch.save(hugging_face(model.state_dict()), path)
    else:
        state = {f'module.{name}': x for name, x in model.state_dict().items()}
        torch.save(dict(epoch=3, name='run', state_dict=state), path)


def hugging_face(state: dict) -> dict:
    """The names of ``CLIPModel`` in transformers."""
    names = dict(positional_embedding='embeddings.position_embedding.weight')
    names |= {'token_embedding.weight': 'embeddings.token_embedding.weight'}
    names |= {f'ln_final.{x}': f'final_layer_norm.{x}' for x in ('weight', 'bias')}
    names = {old: f'text_model.{new}' for old, new in names.items()}
    parts = {'ln_1': 'layer_norm1', 'ln_2': 'layer_norm2', 'mlp.c_fc': 'mlp.fc1'}
    parts |= {'mlp.c_proj': 'mlp.fc2', 'attn.out_proj': 'self_attn.out_proj'}
    found = {'text_projection.weight': state['text_projection'].T.contiguous()}
    found['vision_model.post_layernorm.weight'] = torch.ones(64)
    for i in range(2):
        old, new = f'transformer.resblocks.{i}.', f'text_model.encoder.layers.{i}.'
        for x in ('weight', 'bias'):
            names |= {f'{old}{a}.{x}': f'{new}{b}.{x}' for a, b in parts.items()}
            rows = state[f'{old}attn.in_proj_{x}'].chunk(3)
            for part, each in zip('qkv', rows, strict=True):
                found[f'{new}self_attn.{part}_proj.{x}'] = each.clone()
    return found | {new: state[old] for old, new in names.items()}


SMALL = dict(type='CLIPText', width=64, num_layers=2, out_channels=32)


def build(path, **text) -> torch.nn.Module:
    init_cfg = dict(type='Pretrained', checkpoint=str(path))
    model = MODELS.build(SMALL | text | dict(init_cfg=init_cfg))
    model.init_weights()
    return model


@torch.no_grad()
@pytest.mark.parametrize(
    'how, custom, quick_gelu',
    [
        ('archive', False, True),
        ('state dict', False, True),
        ('hugging face', False, True),
        ('training', False, False),
        ('training', True, True),
    ],
)
def test_features_are_those_of_open_clip(how, custom, quick_gelu, tmp_path):
    model, path = small_clip(custom, quick_gelu), tmp_path / 'clip.pt'
    save(model, path, how)
    tokens = open_clip.tokenizer.tokenize(['a man in a red coat', 'a bag ' * 60])
    features, ends = build(path, quick_gelu=quick_gelu)(tokens)
    torch.testing.assert_close(ends, model.encode_text(tokens))
    assert features.shape == (2, 77, 32)
    torch.testing.assert_close(features[1, 76], ends[1])


def test_archives_are_not_run(tmp_path):
    """Unlike by ``torch.jit.load``; other objects than tensors are dropped."""
    path, marker = tmp_path / 'clip.pt', tmp_path / 'was_run'
    trap = Trap(os.mkdir, str(marker))
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('clip/data.pkl', pickle.dumps(trap, 2))
        archive.writestr('clip/constants.pkl', b'')
    assert read_torchscript(path) == {}
    assert not marker.exists()
    with pytest.raises(ValueError, match='clip.pt .*Give a CLIP model of OpenAI'):
        build(path)


def test_files_that_are_not_clip(tmp_path):
    path = tmp_path / 'clip.pt'
    with pytest.raises(
        FileNotFoundError, match='no checkpoint .*clip.pt.*Set model.text.init_cfg'
    ):
        build(path)
    save(small_clip(), path, 'archive')
    whole = path.read_bytes()
    with pytest.raises(ValueError, match='transformer.resblocks.*set width'):
        build(path, num_layers=3)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match='clip.pt .*damaged, incomplete or not'):
        build(path)
    torch.save(dict(state_dict={'backbone.weight': torch.ones(2)}), path)
    with pytest.raises(ValueError, match='no tensor fits TextTransformer'):
        build(path)
    with pytest.raises(ValueError, match='width=96 is not a multiple of 64'):
        MODELS.build(SMALL | dict(width=96))


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'open_clip.tokenizer', None)
    with pytest.raises(ImportError, match='run pip install open_clip_torch'):
        clip.open_clip('tokenizer')
