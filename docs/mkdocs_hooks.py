"""Bring pages that live elsewhere in the repository into the site, and write the reference of the command line.

Links between files of the repository work in both places.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nucleus_unet.cli import app
from typer.main import get_command

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"

# Where a page lies in the repository, and where in the site.
ELSEWHERE = {
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "python/nucleus_unet/weights/embedded/MODEL_CARD.md": "model-card.md",
    "python/nucleus_unet/weights/small/MODEL_CARD.md": "model-card-small.md",
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
        text = (ROOT / source).read_text()
        if not text.startswith("#"):  # a first line with a colon would be taken for metadata
            text = f"# {Path(source).stem.replace('_', ' ').capitalize()}\n\n{text}"
        files.append(File.generated(config, target, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Turn links between files of the repository into links between pages of the site."""
    here = page.file.src_uri
    markdown = markdown.replace("<!-- commands -->", command_reference())
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


def command_reference() -> str:
    """Describe every command and option in Markdown, from the program itself."""
    commands: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
    described = {name: inspect.cleandoc(command.help or "") for name, command in commands.items()}
    parts = [
        _table(
            ("command", "what it does"),
            [(f"[`{name}`](#{name})", text.partition("\n\n")[0]) for name, text in described.items()],
        )
    ]
    for name, command in commands.items():
        arguments = [each for each in command.params if each.param_type_name == "argument"]
        options = [each for each in command.params if each.param_type_name == "option"]
        usage = " ".join(["nucleus-unet", name, *(_argument(each) for each in arguments), "[OPTIONS]"])
        parts += [f"## {name}", described[name], f"```text\n{usage}\n```"]
        if arguments:
            parts.append(_table(("argument", "meaning"), [(f"`{_argument(each)}`", each.help) for each in arguments]))
        parts.append(_table(("option", "meaning", "default"), [_option(each) for each in options]))
    return "\n\n".join(parts)


def _argument(argument: Any) -> str:
    return f"{argument.name.upper()}{'...' if argument.nargs == -1 else ''}"


def _option(option: Any) -> tuple[str, str, str]:
    meaning, _, told = (option.help or "").partition(" Default: ")
    names = " ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    if option.required:
        default = "required"
    elif told:
        default = told.removesuffix(".")
    elif option.default in (None, True, False, ()) or callable(option.default) or not str(option.default).strip():
        default = ""
    else:
        default = f"`{option.default}`"
    return names, meaning, default


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(
        f"| {' | '.join(' '.join(cell.replace('|', chr(92) + '|').split()) for cell in row)} |" for row in lines
    )
