"""Export a fine-tuned model to ONNX, from an image to its answer.

python tools/export_model.py configs/transfer/reid_saip-small.py \\
    work_dirs/reid_saip-small --out reid.onnx

The input `images` is float32 [batch, 3, h, w], RGB, 0-255: any number of images resized
to the size of the config. Re-identification expects images normalized as trackers do;
pose expects person boxes enlarged as in training, and extended to the aspect ratio of
the input. Outputs: `feature` [batch, C] with unit norm (re-identification), `scores`
[batch, N] (attributes), `labels`, uint8 [batch, h, w] (parsing), or `keypoints`
[batch, K, 2] as x, y in pixels and `scores` [batch, K] (pose). The file's metadata
state size, normalization and names. The tool compares the answers with PyTorch's.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config

from saip_mm import __version__
from saip_mm.checkpoints.onnx import write_onnx
from saip_mm.data.configs import pipeline_of, type_name
from saip_mm.deployment import OUTPUTS, Deployed, deploy
from saip_mm.errors import one_line_errors, script_parser
from saip_mm.files import check_writable
from saip_mm.predictions import Predictor
from saip_mm.training.config import load_config


def parse_args() -> argparse.Namespace:
    parser = script_parser(__doc__)
    parser.add_argument('config', help='training config; it is executed')
    parser.add_argument('checkpoint', help='checkpoint or work directory')
    parser.add_argument('--out', required=True, type=Path, help='.onnx file to write')
    args = parser.parse_args()
    args.out = args.out.expanduser()
    if args.out.suffix != '.onnx':
        parser.error(f'--out {args.out} does not end in .onnx')
    return args


def compare(path: Path, network: Deployed) -> str:
    """Compare answers of an exported file with PyTorch's, on random images.

    Returns:
        The largest difference, the size of the file, and the latency on one thread.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        path, options, providers=['CPUExecutionProvider']
    )
    pixels = torch.rand(2, 3, *network.img_size, generator=torch.manual_seed(0)) * 255
    images = pixels if network.task != 'reid' else (pixels - 127) / 64
    with torch.no_grad():
        expected = network(images)
    expected = [expected] if torch.is_tensor(expected) else expected
    found = session.run(None, dict(images=images.numpy()))
    pairs = [(a, b.numpy()) for a, b in zip(found, expected, strict=True)]
    if network.task == 'parsing':
        difference = f'in {np.mean(found[0] != pairs[0][1]):.1%} of the labels'
    else:
        if not all(np.isfinite(a).all() for a in found):
            raise ValueError(f'{path}: its answers for random images are not finite')
        difference = f'by at most {max(np.abs(a - b).max() for a, b in pairs):.1g}'
    seconds = []
    for _ in range(20):
        start = time.perf_counter()
        session.run(None, dict(images=images[:1].numpy()))
        seconds.append(time.perf_counter() - start)
    return (
        f'differs from PyTorch {difference}; '
        f'{path.stat().st_size / 1e6:.1f} MB; '
        f'{1000 * np.median(seconds):.1f} ms per image on one thread'
    )


def crops(cfg: Config) -> str:
    """How MMPose cuts the inputs of a pose model out of photographs."""
    steps = pipeline_of(cfg.test_dataloader.dataset)
    found = (x.get('padding', 1.25) for x in steps if 'CenterScale' in type_name(x))
    padding = next(found, 1.0)
    return (
        f'RGB, 0-255: a box {padding} times as large as the person box, extended to '
        'the aspect ratio of the input, black outside the image'
    )


def main() -> None:
    args = parse_args()
    check_writable(args.out)
    try:
        import onnxruntime  # noqa: F401  (to compare)
    except ImportError as error:
        raise ValueError(
            'onnxruntime is not installed; run pip install onnx onnxruntime onnxscript'
        ) from error
    predictor = Predictor(load_config(args.config), args.checkpoint)
    network = deploy(predictor.task, predictor.model, predictor.cfg).eval()
    inputs = 'RGB, 0-255'
    if network.task == 'reid':
        inputs = 'RGB, normalized by mean and std'
    elif network.task == 'pose':
        inputs = crops(predictor.cfg)
    names = predictor.meta.get('classes') or predictor.meta.get('keypoint_id2name', {})
    meta = dict(
        task=network.task,
        input=inputs,
        img_size=network.img_size,
        mean=[round(v, 3) for v in network.mean.flatten().tolist()],
        std=[round(v, 3) for v in network.std.flatten().tolist()],
        names=list(names.values() if isinstance(names, dict) else names),
        saip_mm=__version__,
    )
    write_onnx(args.out, network, OUTPUTS[network.task], meta)
    print(f'wrote {args.out}: {compare(args.out, network)}')


if __name__ == '__main__':
    with one_line_errors():
        main()
