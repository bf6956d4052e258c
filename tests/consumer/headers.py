"""Puts headers into few files that prove together that each header includes what it needs, and all of them into one
more: no two define the same name.

usage: headers.py INCLUDE_DIR OUTPUT_DIR

A header that is compiled behind others may use what these include. It cannot hide that where all that stands before it
is included by itself as well. So headers stand one after the other in two files, there and back, with this condition:
of the standard library they include more from header to header, so that there nothing new stands before any of them,
and of this project's headers none stands before a header in both files unless it includes it. What a header lacks is
then missing in one file at least.
"""

import pathlib
import re
import sys


def includes(text, path):
    """What a header includes, whatever is defined."""
    depth, found = 0, []
    for line in text.splitlines():
        if re.match(r"\s*#\s*if", line):
            depth += 1
        elif re.match(r"\s*#\s*endif", line):
            depth -= 1
        elif match := re.match(r"\s*#\s*include\s*<(.*)>", line):
            if depth:
                sys.exit(f"{path}: an include that depends on what is defined is not followed here")
            found.append(match[1])
    return found


def reached(header, included, seen):
    if header not in seen:
        seen.add(header)
        for other in included.get(header, []):
            reached(other, included, seen)
    return seen


def nothing_hides(group, own):
    """Whether no header of the project stands before one in both directions that does not include it."""
    before = [set()]
    for header in group:
        before.append(before[-1] | own[header])
    behind = set()
    for place in reversed(range(len(group))):
        header = group[place]
        if (before[place] & behind) - own[header]:
            return False
        behind |= own[header]
    return True


def groups_of(included):
    own, standard = {}, {}
    for header in included:
        everything = reached(header, included, set())
        own[header] = {h for h in everything if h in included}
        standard[header] = everything - own[header]
    groups = []
    for header in sorted(included, key=lambda h: (-len(standard[h]), -len(own[h]), h)):
        fitting = [g for g in groups if standard[header] <= standard[g[0]] and nothing_hides([header] + g, own)]
        if fitting:
            max(fitting, key=len).insert(0, header)
        else:
            groups.append([header])
    return groups


def main():
    folder, output = map(pathlib.Path, sys.argv[1:])
    included = {}
    for path in folder.rglob("*.h"):
        included[path.relative_to(folder).as_posix()] = includes(path.read_text(), path)
    if not included:
        sys.exit(f"there is no header in {folder}")
    files = {"all": sorted(included)}
    for number, group in enumerate(groups_of(included)):
        files[f"{number}_there"] = group
        if len(group) > 1:
            files[f"{number}_back"] = group[::-1]
    for name, headers in files.items():
        (output / f"{name}.cpp").write_text("".join(f"#include <{header}>\n" for header in headers))


main()
