"""Checks links: check_links.py SITE PAGE.md... Of the site's pages those to files beside them and places in them, of
the Markdown pages those to files, as readers of the repository follow them. Where there is no site, SITE is empty."""

import html.parser
import pathlib
import re
import sys
import urllib.parse


class Links(html.parser.HTMLParser):
    """The links of a page, and the places that others may lead to."""

    def __init__(self, text):
        super().__init__()
        self.links, self.places = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.links.add(value)
            elif name in ("id", "name") and value:
                self.places.add(value)


def broken_in_site(site):
    pages = {p.name: Links(p.read_text(encoding="utf-8")) for p in site.glob("*.html")}
    for name, page in pages.items():
        for link in page.links:
            url = urllib.parse.urlsplit(link)
            if url.scheme or url.netloc:
                continue
            path = urllib.parse.unquote(url.path) or name
            if not (site / path).exists():
                yield f"{name}: {link}"
            elif url.fragment == "nested-classes":
                continue  # Doxygen's own, of classes whose nested ones are private
            elif url.fragment and path in pages and urllib.parse.unquote(url.fragment) not in pages[path].places:
                yield f"{name}: {link}"


def broken_in_source(page):
    # A piece of code may go on in the next line, and not in the next paragraph.
    not_text = r"<!--.*?-->|```.*?```|`(?:[^`\n]|\n(?!\s*\n))*`"
    text = re.sub(not_text, "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)]+)\)", text):
        url = urllib.parse.urlsplit(link)
        if not url.scheme and not (page.parent / url.path).exists():
            yield f"{page}: {link}"


def main(site, *pages):
    broken = sorted(broken_in_site(pathlib.Path(site))) if site else []
    for page in pages:
        broken += broken_in_source(pathlib.Path(page))
    if broken:
        sys.exit("links that lead nowhere:\n" + "\n".join(broken))


if __name__ == "__main__":
    main(*sys.argv[1:])
