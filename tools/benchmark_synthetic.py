"""Measure how many synthetic people one core draws per second.

python tools/benchmark_synthetic.py [--images 500] [--size 256 128]
"""

import argparse
import time

import cv2

from saip_mm.drawn import draw_person


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', type=int, default=500)
    parser.add_argument('--size', type=int, nargs=2, default=(256, 128), metavar='N')
    args = parser.parse_args()
    cv2.setNumThreads(1)
    draw_person(0, 0, 0, args.size)
    # Processor time, not wall-clock time: other processes may use the same core.
    start = time.process_time()
    for index in range(args.images):
        draw_person(0, index % 300, index, args.size)
    rate = args.images / (time.process_time() - start)
    h, w = args.size
    print(f'{rate:.0f} images of {h}x{w} per second and core ({args.images} drawn)')


if __name__ == '__main__':
    main()
