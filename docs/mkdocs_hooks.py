"""Bring pages that live elsewhere in the repository into the site, and let links to them work in both places."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"

# Where a page lies in the repository, and where in the site.
ELSEWHERE = {
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "python/nucleus_unet/weights/dsb2018/MODEL_CARD.md": "model-card.md",
    **{
        path.relative_to(ROOT).as_posix(): f"benchmarks/{path.name}"
        for path in sorted((ROOT / "benchmarks").glob("*.md"))
    },
}
_SOURCES = {target: source for source, target in ELSEWHERE.items()}
_LINK = re.compile(r"(\]\()([^)\s#:]+)((?:#[^)]*)?\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages to those of the folder ``docs``."""
    for source, target in ELSEWHERE.items():
        files.append(File.generated(config, target, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Turn links between files of the repository into links between pages of the site."""
    here = page.file.src_uri
    source = ROOT / _SOURCES.get(here, f"docs/{here}")

    def to_page(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(source.parent / link[2]))
        if not target.is_relative_to(ROOT):
            return link[0]
        name = target.relative_to(ROOT).as_posix()
        if name in ELSEWHERE:
            name = ELSEWHERE[name]
        elif here in _SOURCES and target.is_relative_to(DOCS):
            name = target.relative_to(DOCS).as_posix()
        else:
            return link[0]
        return f"{link[1]}{os.path.relpath(name, Path(here).parent)}{link[3]}"

    return _LINK.sub(to_page, markdown)
