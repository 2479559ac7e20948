"""A Markdown page, read once: headings, anchors, links, tables and code blocks, each with its line."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

_MARKDOWN = MarkdownIt("commonmark").enable("table")
_ANCHOR = re.compile(r"""<[a-z][^>]*?\s(?:id|name)=["']([^"']+)["']""", re.IGNORECASE)


@dataclass(frozen=True)
class Fault:
    """Something that a page says and that is not so. line: from 1; 0 where the page as a whole is meant."""

    page: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


@dataclass(frozen=True)
class Place:
    """A piece of text and the line (from 1) where it stands."""

    line: int
    text: str


@dataclass(frozen=True)
class Row:
    """A row of a table. section: text of the heading above it; cells: as they are written in Markdown."""

    line: int
    section: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """A fenced code block. comment: the HTML comment right above it, or empty."""

    line: int
    language: str
    code: str
    comment: str


@dataclass(frozen=True)
class Page:
    """A page of the project. path: relative to the project's folder."""

    root: Path
    path: Path

    @cached_property
    def text(self) -> str:
        return (self.root / self.path).read_text(encoding="utf-8")

    @cached_property
    def tokens(self) -> list[Token]:
        return _MARKDOWN.parse(self.text)

    def fault(self, line: int, text: str) -> Fault:
        return Fault(self.path, line, text)

    def headings(self) -> list[Place]:
        """Headings as written, without their number signs."""
        return [
            Place(_line(opening), inline.content)
            for opening, inline in zip(self.tokens, self.tokens[1:], strict=False)
            if opening.type == "heading_open"
        ]

    def anchors(self) -> set[str]:
        """What `#...` can point to: the names GitHub gives to headings, and ids in HTML."""
        names: set[str] = set()
        for heading in self.headings():
            name = slug(heading.text)
            count = 1
            while name in names:
                name = f"{slug(heading.text)}-{count}"
                count += 1
            names.add(name)
        for token in self._flat():
            if token.type in ("html_block", "html_inline"):
                names.update(_ANCHOR.findall(token.content))
        return names

    def links(self) -> list[Place]:
        """Targets of links and pictures."""
        attributes = {"link_open": "href", "image": "src"}
        return [
            Place(token.meta["line"], str(token.attrs[attributes[token.type]]))
            for token in self._flat()
            if token.type in attributes
        ]

    def rows(self) -> list[Row]:
        """Rows of all tables, without their heads."""
        rows: list[Row] = []
        line = 0
        section = before = ""
        cells: list[str] = []
        for token in self.tokens:
            if token.type == "tr_open":
                cells = []
                line = _line(token)
            elif token.type == "tr_close" and cells:
                rows.append(Row(line, section, tuple(cells)))
            elif before == "heading_open":
                section = token.content
            elif before == "td_open":
                cells.append(token.content)
            before = token.type
        return rows

    def blocks(self) -> list[Block]:
        """Fenced code blocks."""
        found = []
        before: Token | None = None
        for token in self.tokens:
            if token.type == "fence":
                is_comment = before is not None and before.type == "html_block"
                comment = before.content if is_comment and before is not None else ""
                comment = comment.strip().removeprefix("<!--").removesuffix("-->").strip()
                found.append(Block(_line(token), token.info.strip(), token.content, comment))
            before = token
        return found

    def _flat(self) -> Iterator[Token]:
        """Block tokens and what stands inside them; the line of an inline token is in meta["line"]."""
        line = 0
        for token in self.tokens:
            line = _line(token) or line
            yield token
            at = line
            for child in token.children or []:
                child.meta["line"] = at
                at += child.type in ("softbreak", "hardbreak")
                yield child


def _line(token: Token) -> int:
    return token.map[0] + 1 if token.map else 0


def slug(heading: str) -> str:
    """The name that GitHub gives to a heading."""
    plain = re.sub(r"<[^>]*>|\]\([^)]*\)", "", heading)
    return re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-")


def code_words(cell: str) -> list[str]:
    """What stands between backquotes."""
    return re.findall(r"`([^`]+)`", cell)


def read_pages(root: Path) -> list[Page]:
    """The project's pages: those at the top and those under docs/."""
    paths = sorted([*root.glob("*.md"), *(root / "docs").rglob("*.md")])
    return [Page(root, path.relative_to(root)) for path in paths]
