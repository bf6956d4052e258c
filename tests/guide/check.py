"""Runs the blocks of a page and compares what they print: check.py PAGE.md GUIDE_PROGRAM BIN_FOLDER

GUIDE_PROGRAM has the page's blocks of C++ (extract.py), BIN_FOLDER the command and the examples. The programs that a
page shows must be their files, its links must lead somewhere, and its lists must be complete (lists.py)."""

import difflib
import pathlib
import re
import subprocess
import sys
import tempfile

import blocks
import lists

sys.path.insert(0, str(blocks.SOURCE / "tools/docs"))
import check_links  # noqa: E402


def scratch_folder(folder, bin_folder):
    """What commands of the page find: the source's tools and tests, and the programs where its preset builds them."""
    (folder / "build/release").mkdir(parents=True)
    (folder / "build/release/bin").symlink_to(bin_folder)
    for name in ("tools", "tests"):
        (folder / name).symlink_to(blocks.SOURCE / name)


def matches(expected, printed):
    """Whether the lines are the expected ones, where ... stands for any text and a line of ... for any lines."""
    if not expected:
        return not printed
    if expected[0].strip() == "...":
        return any(matches(expected[1:], printed[i:]) for i in range(len(printed) + 1))
    line = ".*".join(re.escape(part) for part in expected[0].rstrip().split("..."))
    return bool(printed) and bool(re.fullmatch(line, printed[0].rstrip())) and matches(expected[1:], printed[1:])


def compare(page, block, printed):
    """Whether the block prints what the page says: nothing, where no output stands under it. A cell of a table may."""
    if block.cell:
        return True
    lines = printed.rstrip("\n").split("\n") if printed.strip() else []
    if matches(block.output or [], lines):
        return True
    expected = "\n".join(block.output or ["nothing"])
    print(f"FAILED: {page}:{block.line}: it prints\n{printed}\nand not\n{expected}", file=sys.stderr)
    return False


def is_the_file(page, block):
    """Whether the block is the program that its mark names, to the letter."""
    file = blocks.SOURCE / block.example
    if not file.is_file():
        print(f"FAILED: {page}:{block.line}: there is no {block.example}", file=sys.stderr)
        return False
    shown, written = block.code, file.read_text(encoding="utf-8").split("\n")[:-1]
    if shown == written:
        return True
    print(f"FAILED: {page}:{block.line}: this is not what {block.example} holds:", file=sys.stderr)
    print("\n".join(difflib.unified_diff(shown, written, str(page), block.example, lineterm="")), file=sys.stderr)
    return False


def run(page, line, command, folder):
    """The standard output of a command that must succeed."""
    result = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        sys.exit(f"FAILED: {page}:{line}: {command[0]} ends with {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


def check(page, program, bin_folder):
    all_blocks = blocks.blocks_of(page)
    ok = True
    counts = {"C++": 0, "sh": 0, "programs": 0}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        scratch_folder(folder, bin_folder)
        printed = {}
        if any(b.language == "cpp" and not b.example for b in all_blocks):
            text = run(page, 1, [program, blocks.page_name(page)], folder)
            for part in text.split("\x01")[1:]:
                line, _, rest = part.partition("\n")
                # Messages name classes of the page with the namespace that extract.py has put around them.
                printed[int(line)] = rest.replace(f"{blocks.page_name(page)}_page::(anonymous namespace)::", "")
        for block in all_blocks:
            if block.not_run:
                print(f"not run: {page}:{block.line}: {block.not_run}")
            elif block.example:
                counts["programs"] += 1
                ok &= is_the_file(page, block)
            elif block.language == "cpp":
                counts["C++"] += 1
                if not block.file_scope:
                    ok &= compare(page, block, printed[block.line])
            else:
                counts["sh"] += 1
                command = ["bash", "-euo", "pipefail", "-c", "\n".join(block.code)]
                ok &= compare(page, block, run(page, block.line, command, folder))
    wrong = [f"a link leads nowhere: {link}" for link in check_links.broken_in_source(pathlib.Path(page))]
    wrong += [f"{page}: missing is {what}" for what in lists.missing(page, all_blocks)]
    for text in wrong:
        print(f"FAILED: {text}", file=sys.stderr)
    ok &= not wrong
    print(f"{page}: " + ", ".join(f"{n} {kind}" for kind, n in counts.items()))
    return ok


if __name__ == "__main__":
    try:
        page, *programs = sys.argv[1:]
        if not check(page, *(pathlib.Path(p).resolve() for p in programs)):
            sys.exit(1)
    except blocks.PageError as e:
        sys.exit(str(e))
