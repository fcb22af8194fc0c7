"""Write an HTML report of a run: `python tools/report.py WORK_DIR`.

One self-contained page: curves, training samples, reconstruction, search, attention,
nearest neighbors before and after training, and config. Works during training, after
it, and after a crash.
"""

import argparse

from mmengine.logging import MMLogger

from saip_mm.errors import one_line_errors, script_parser
from saip_mm.report.report import Report


def parse_args() -> argparse.Namespace:
    parser = script_parser(__doc__)
    parser.add_argument('work_dir', help='work directory of the run')
    parser.add_argument('--out', help='page to write (default: WORK_DIR/report.html)')
    parser.add_argument(
        '--images', help="folder of person images to show instead of the config's"
    )
    parser.add_argument(
        '--config',
        help='config, if the one in the work directory cannot be loaded as data',
    )
    parser.add_argument(
        '--overview',
        help='write one image of views, reconstruction and search (.png, .webp) '
        'instead of the page',
    )
    args = parser.parse_args()
    if args.overview and not args.overview.endswith(('.png', '.webp')):
        parser.error(f'--overview {args.overview} does not end in .png or .webp')
    return args


def main() -> None:
    args = parse_args()
    # MMEngine would print a line per initialized parameter.
    MMLogger.get_current_instance().setLevel('WARNING')
    report = Report(args.work_dir, args.images, args.config)
    if args.overview:
        report.write_overview(args.overview)
        print(f'wrote {args.overview}')
        return
    out = report.write(args.out)
    for gap in report.gaps:
        print(f'omitted: {gap}')
    print(f'wrote {out} ({out.stat().st_size / 1e6:.1f} MB): open it in a browser')


if __name__ == '__main__':
    with one_line_errors():
        main()
