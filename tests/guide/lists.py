"""What pages that are lists must have, found in the source: a new function or example that is missing is an error."""

import pathlib
import re
import sys

import blocks

sys.path.insert(0, str(blocks.SOURCE / "tools/docs"))
import functions  # noqa: E402

README_PROGRAMS = 3


def missing(page, all_blocks):
    """What the page lacks, a line each."""
    page = pathlib.Path(page).resolve()
    guide = blocks.SOURCE / "tools/docs/guide"
    if page == blocks.SOURCE / "README.md":
        shown = sum(bool(b.example) for b in all_blocks)
        if shown < README_PROGRAMS:
            yield f"a program: it shows {shown}, and is to show {README_PROGRAMS}"
    elif page == guide / "operations.md":
        listed = set(re.findall(r"\w+", " ".join(line for b in all_blocks for line in b.code)))
        yield from (f"the function {f}" for f in functions.of_tensors() if f not in listed)
    elif page == guide / "examples.md":
        commands = re.findall(r"`(\w+)[^`\n]*`", page.read_text(encoding="utf-8"))
        programs = sorted(p.stem for p in (blocks.SOURCE / "tools/examples").glob("*.cpp"))
        yield from (f"the program {p}" for p in programs if p not in commands)
    elif page == guide / "index.md":
        links = re.findall(r"\]\((\w+)\.md\)", page.read_text(encoding="utf-8"))
        yield from (f"the page {p.name}" for p in sorted(guide.glob("*.md")) if p != page and p.stem not in links)
