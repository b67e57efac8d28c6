"""Write the table of file formats of the documentation from that of the library: ``python docs/formats.py``."""

import re
from pathlib import Path

from nucleus_unet.io.formats import FORMATS

PAGE = Path(__file__).resolve().parent / "how-to" / "read-files.md"
_MARKED = re.compile(r"(<!-- formats -->\n).*?(<!-- /formats -->)", re.DOTALL)


def table() -> str:
    """Lay out the table of formats."""
    lines = ["| format | names | read | needs |", "|---|---|---|---|"]
    for each in FORMATS:
        names = ", ".join(f"`{suffix}`" for suffix in each.suffixes)
        lines.append(
            f"| {each.name} | {names} | {'in parts' if each.in_parts else 'whole'} | "
            f"{f'extra `{each.extra}`' if each.extra else ''} |"
        )
    return "\n".join(lines)


def page() -> str:
    """Return the page with the table as it should be."""
    return _MARKED.sub(lambda match: match[1] + table() + "\n" + match[2], PAGE.read_text())


if __name__ == "__main__":
    PAGE.write_text(page())
