"""Pieces of an HTML page that needs nothing but itself."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from string import Template

from PIL import Image
from torch import Tensor

from .panels import picture
from .pictures import data_uri


@dataclass(frozen=True)
class Section:
    """A part of the page; ``text`` is plain, ``body`` HTML."""

    title: str
    text: str
    body: str

    @property
    def anchor(self) -> str:
        return re.sub(r'\W+', '-', self.title.lower())

    def __str__(self) -> str:
        return (
            f'<section id="{self.anchor}"><h2>{escape(self.title)}</h2>'
            f'<p>{escape(self.text)}</p>{self.body}</section>'
        )


def missing(reason: str) -> str:
    """In place of what cannot be shown."""
    return f'<p class="missing">{escape(reason)}</p>'


def figure(image: Image.Image | Tensor, alt: str, caption: str, kind: str = '') -> str:
    """A picture (tensors: uint8 [3, h, w]).

    Args:
        alt: What it shows, for those who cannot see it.
        caption: Below it.
        kind: Its class in the style sheet.
    """
    image = picture(image) if isinstance(image, Tensor) else image
    width, height = image.size
    return (
        f'<figure class="{kind}"><img src="{data_uri(image)}" alt="{escape(alt)}" '
        f'width="{width}" height="{height}">'
        f'<figcaption>{escape(caption)}</figcaption></figure>'
    )


def row(figures: Iterable[str], title: str = '') -> str:
    """Pictures of one height side by side, in more lines where there is no room."""
    head = f'<h3>{escape(title)}</h3>' if title else ''
    return f'{head}<div class="row">{"".join(figures)}</div>'


def together(figures: Iterable[str]) -> str:
    """Pictures of a row that stay in one line."""
    return f'<div class="together">{"".join(figures)}</div>'


def strip(figures: Sequence[str], kind: str = '') -> str:
    """Pictures of one size in one line, as small as that makes them."""
    return (
        f'<div class="strip {kind}" style="--n:{len(figures)}">{"".join(figures)}</div>'
    )


def columns(parts: Iterable[str]) -> str:
    """Pieces of HTML next to each other where there is room."""
    cells = ''.join(f'<div>{part}</div>' for part in parts)
    return f'<div class="columns">{cells}</div>'


def table(facts: Mapping[str, object]) -> str:
    rows = ''.join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(str(value))}</td></tr>'
        for name, value in facts.items()
    )
    return f'<table>{rows}</table>'


def details(summary: str, text: str) -> str:
    """Long plain text, folded."""
    return (
        f'<details><summary>{escape(summary)}</summary>'
        f'<pre tabindex="0">{escape(text)}</pre></details>'
    )


def page(title: str, head: str, sections: Sequence[Section]) -> str:
    """The whole page.

    Args:
        title: Plain text.
        head: HTML that comes before the sections.
        sections: In order.
    """
    links = ''.join(
        f'<a href="#{section.anchor}">{escape(section.title)}</a>'
        for section in sections
    )
    html = _PAGE.substitute(
        title=escape(title),
        head=head,
        links=links,
        sections='\n'.join(map(str, sections)),
    )
    # Names of files may be no UTF-8, which Python keeps as lone surrogates.
    return html.encode(errors='replace').decode()


_PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
:root {
  --paper: #fbfaf8; --card: #fff; --ink: #1d2129; --pale: #667; --rule: #dcdfe4;
  --link: #1756a9; --good: #17803d; --bad: #c62828; --busy: #a15c00;
  --c0: #1f6fc4; --c1: #d1580d; --c2: #17803d; --c3: #8e44ad;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14161a; --card: #1d2026; --ink: #e6e7ea; --pale: #9aa1ac;
    --rule: #363b44; --link: #8ab8f5; --good: #5fd38a; --bad: #ff8a80;
    --busy: #f0b45a; --c0: #6fb1ff; --c1: #ff9d5c; --c2: #5fd38a; --c3: #d39bf0;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 70rem; padding: 1rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere;
}
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.25rem; margin: 0 0 .25rem; }
h3 { font-size: .85rem; font-weight: 600; color: var(--pale); margin: 1rem 0 .25rem; }
p { margin: .25rem 0 .75rem; max-width: 46rem; }
section > p:first-of-type { color: var(--pale); }
section, header {
  background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
  padding: 1rem 1.25rem; margin: 0 0 1rem;
}
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; font-size: .9rem; }
a { color: var(--link); }
progress { width: 100%; height: .8rem; accent-color: var(--c0); }
.state { font-weight: 700; }
.finished { color: var(--good); } .crashed { color: var(--bad); }
.running, .interrupted { color: var(--busy); }
.missing { border-left: 4px solid var(--busy); padding-left: .75rem; }
.row { display: flex; flex-wrap: wrap; gap: .5rem .75rem; margin-bottom: .75rem; }
.together { display: flex; gap: inherit; }
figure { margin: 0; max-width: 100%; }
figcaption { font-size: .78rem; line-height: 1.3; color: var(--pale);
  width: 0; min-width: 100%; white-space: pre-line; }
img { display: block; max-width: 100%; height: auto; border-radius: 4px; }
.row img { height: 13rem; width: auto; }
.strip { display: grid; gap: .5rem; margin-bottom: .75rem;
  grid-template-columns: repeat(var(--n), minmax(0, 7.5rem)); }
.strip img { width: 100%; }
.neighbours img { border: 4px solid var(--rule); }
.neighbours .query img { border-color: var(--ink); }
.neighbours .right img { border-color: var(--good); }
.neighbours .wrong img { border-color: var(--bad); border-style: dashed; }
.columns { display: grid; gap: 0 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
.charts { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); }
.chart { width: 100%; font: 11px system-ui, sans-serif; }
.chart text { fill: var(--ink); }
.chart .name { font-size: 13px; font-weight: 600; }
.chart .unit, .chart .y { text-anchor: end; }
.chart .x { text-anchor: middle; }
.chart .unit, .chart .pale, .chart .x, .chart .y { fill: var(--pale); }
.chart path { fill: none; stroke-width: 2; stroke-linejoin: round; }
.chart .rule { stroke: var(--rule); stroke-width: 1; }
.chart .level { stroke: var(--pale); stroke-width: 1.2; stroke-dasharray: 5 4; }
.chart .c0 { stroke: var(--c0); } .chart .c1 { stroke: var(--c1); }
.chart .c2 { stroke: var(--c2); } .chart .c3 { stroke: var(--c3); }
.chart path.c1, .chart path.c3 { stroke-dasharray: 7 3; }
.chart circle { fill: var(--card); stroke-width: 1.6; }
table { border-collapse: collapse; font-size: .9rem; width: 100%; }
th, td { text-align: left; padding: .25rem .75rem .25rem 0; vertical-align: top;
  border-top: 1px solid var(--rule); }
th { font-weight: 500; color: var(--pale); width: 30%; }
pre { overflow-x: auto; font-size: .8rem; line-height: 1.4; white-space: pre-wrap; }
summary { cursor: pointer; color: var(--link); }
@media (max-width: 40rem) {
  body { padding: .5rem; } section, header { padding: .75rem; }
  .row img { height: 7rem; } .row { gap: .3rem; } figcaption { font-size: .7rem; }
  .strip { gap: .25rem; } .neighbours img { border-width: 3px; }
}
@media print {
  :root { --paper: #fff; --card: #fff; --ink: #000; --pale: #444; --rule: #bbb;
    --link: #000; --good: #17803d; --bad: #c62828; --busy: #a15c00;
    --c0: #1f6fc4; --c1: #d1580d; --c2: #17803d; --c3: #8e44ad; }
  body { max-width: none; font-size: 11pt; } nav { display: none; }
  section, header { border: 0; padding: 0; }
  figure, .chart, h2, h3, tr { break-inside: avoid; } h2, h3 { break-after: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
</style>
</head>
<body>
<header>$head<nav aria-label="Sections">$links</nav></header>
<main>
$sections
</main>
</body>
</html>
""")
