"""The pages of the documentation: their fenced blocks, and the commands in them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"(?:^|`|\$ )(?:\.venv/bin/)?pointsman ([^`\n]*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its page, the line of its fence, its language and its text."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(language: str, *pages: Path) -> list[Block]:
    """All blocks of a language, page by page."""
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, language, found.group(2))
        for page in pages or PAGES
        for text in (page.read_text(),)
        for found in _BLOCK.finditer(text)
        if found.group(1) == language
    ]


def commands(page: Path) -> Iterator[list[str]]:
    """The words after `pointsman` of every command that a page shows, in blocks and in running text."""
    for found in _COMMAND.finditer(page.read_text().replace("\\\n", " ")):
        yield shlex.split(found.group(1), comments=True)


def lines(block: Block) -> Iterator[str]:
    """The commands of a shell block, one each, without their comments."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if words := line.split("  #")[0].strip():
            yield words
