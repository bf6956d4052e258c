"""Doxygen's view of a Markdown page: in it a single quote would end a piece of code, unless that stands between two
pairs of backticks. usage: markdown_filter.py PAGE.md (to the standard output)"""

import pathlib
import re
import sys

text = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
# Blocks of code and comments stay as they are.
parts = re.split(r"(^```.*?^```$|<!--.*?-->)", text, flags=re.DOTALL | re.MULTILINE)
for i in range(0, len(parts), 2):
    parts[i] = re.sub(r"`([^`]+)`", lambda code: f"`{code[0]}`" if "'" in code[0] else code[0], parts[i])
sys.stdout.write("".join(parts))
