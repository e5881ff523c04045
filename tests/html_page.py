"""What a person reads on an HTML page: its text, links and tables."""

from html.parser import HTMLParser

_SILENT = ("script", "style", "template")


class Page(HTMLParser):
    """`text` is what is said, with the names of bars; `links` are pairs of name and address;
    `tables` have the rows of each caption, lists of texts.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self._parts: list[str] = []
        self.links: list[tuple[str, str]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self._rows: list[list[str]] = []
        self._caption: list[str] | None = None
        self._cell: list[str] | None = None
        self._link: tuple[list[str], str] | None = None
        self._silent = 0
        self.feed(html)
        self.text = " ".join(" ".join(self._parts).split())

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag in _SILENT:
            self._silent += 1
        elif tag == "table":
            self._rows = []
        elif tag == "caption":
            self._caption = []
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._cell = []
        elif tag == "a":
            self._link = ([attributes.get("aria-label") or ""], attributes.get("href") or "")
            self._parts.append(attributes.get("aria-label") or "")

    def handle_endtag(self, tag):
        if tag in _SILENT:
            self._silent -= 1
        elif tag == "caption":
            self.tables[" ".join(" ".join(self._caption or []).split())] = self._rows
            self._caption = None
        elif tag in ("td", "th") and self._cell is not None and self._rows:
            self._rows[-1].append(" ".join(" ".join(self._cell).split()))
            self._cell = None
        elif tag == "a" and self._link:
            name, href = self._link
            self.links.append((" ".join(" ".join(name).split()), href))
            self._link = None

    def handle_data(self, data):
        if self._silent:
            return
        self._parts.append(data)
        for part in (self._caption, self._cell, self._link and self._link[0]):
            if part is not None:
                part.append(data)

    def table(self, caption: str) -> list[list[str]]:
        """Return the rows of the table whose caption begins so."""
        [name] = [name for name in self.tables if name.startswith(caption)]
        return self.tables[name]

    def row(self, caption: str, first: str) -> list[str]:
        """Return the row of the table that begins with this cell."""
        [row] = [row for row in self.table(caption) if row and row[0] == first]
        return row

    def href(self, name: str) -> str:
        """Return the address of the first link whose name contains this."""
        return next(href for text, href in self.links if name in text)
