"""A report as a single HTML file: no script, no network, light and dark, and fit to be printed."""

import html
from collections.abc import Iterable
from pathlib import Path

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --paper: #ffffff; --line: #d5dae3; --soft: #5d6778; --good: #17795a; --bad: #b3372b; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ef; --paper: #14181f; --line: #333b49; --soft: #98a3b5; --good: #4cc38a; --bad: #f0756a; }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
svg { width: 100%; height: auto; } text { fill: var(--ink); font-size: 12px; } .axis { stroke: var(--line); }
@media (max-width: 40rem) { text { font-size: 24px; } }
h2 { font-size: 1.1rem; margin-top: 2rem; } .story { font-size: 1.15rem; } table { display: block; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
"""
_HEAD = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'


def write_page(path: Path, title: str, sections: Iterable[str], style: str = "") -> None:
    """Write sections of HTML as one file; `style` is CSS after that of every report."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = f"<head>{_HEAD}<title>{html.escape(title)}</title><style>{_STYLE}{style}</style></head>"
    path.write_text(f"<!doctype html><html lang=en>{head}<body>{''.join(sections)}</body></html>", encoding="utf-8")


__all__ = ["write_page"]
