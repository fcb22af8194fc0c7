"""tests/verify_reference.py on the authors' case and on one of other sizes."""

import json
import runpy
from pathlib import Path

import plain_case
import pytest
from launch import ROOT, call

CASE = Path(__file__).parent / 'cases/case_a.json'


def test_the_authors_case_agrees(capsys):
    assert call('tests/verify_reference.py', CASE) == 0
    assert '28 of 28 agree' in capsys.readouterr().out


def test_another_case_agrees_with_the_plain_method():
    case = json.loads(CASE.read_text())
    case['config'] |= dict(
        tag='case-z',
        batch=3,
        img_size=[192, 96],
        crop_size=[96, 48],
        scene_size=[160, 192],
        scale_roi=1.125,
        scale_inst=0.75,
        csr_scale=1.5,
        mask_ratio=0.6,
        csm_out_dim=512,
        num_native_locals=3,
        steps=1,
    )
    case['official_state_dict_shapes'] |= {
        'backbone.pos_embed': [1, 73, 192],
        'csr_decoder.decoder_pos_embed': [1, 73, 512],
        'csm_decoder.last_layer.weight_g': [512, 1],
        'csm_decoder.last_layer.weight_v': [512, 256],
    }
    tool = runpy.run_path(str(ROOT / 'tests/verify_reference.py'))
    ours, plain = tool['run_case'](case, 'cpu'), plain_case.run_case(case)
    ours = {name: ours[name] for name in plain}  # it has others to watch besides
    assert ours == pytest.approx(plain, rel=1e-5)


def test_a_wrong_number_is_noticed(tmp_path, capsys):
    case = json.loads(CASE.read_text())
    case['config']['steps'] = 1
    case['expected'] = {
        name: value
        for name, value in case['expected'].items()
        if name.startswith('step0')
    }
    case['expected']['step0/loss_csr'] *= 1.0001
    (tmp_path / 'case.json').write_text(json.dumps(case))
    assert call('tests/verify_reference.py', tmp_path / 'case.json') == 1
    assert '13 of 14 agree' in capsys.readouterr().out
