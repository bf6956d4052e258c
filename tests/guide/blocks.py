"""The code blocks of a Markdown page, and the marks in comments above them that say how each is tested.

A block of C++ is compiled as the body of a function, and run. Marks that stand in the lines above a block:

  <!-- tools/examples/NAME.cpp -->   the block is that file, which the build compiles and a test runs
  <!-- given                         statements that come first in the function and are not shown;
  ...                                lines of #include go to the head of the file, here and in blocks
  -->
  <!-- continued -->                 more of the function of the block before
  <!-- file scope -->                declarations for the blocks that follow
  <!-- throws -->                    the block throws; the message is its output
  <!-- not run: REASON -->           C++ is compiled alone, anything else is shown alone; the test lists the reason
  <!-- compiled and run -->          above a table: each piece of code in its last column is a block

Blocks of sh are run by bash, in a folder that has tools/, tests/ and build/release/bin/. A block of text that follows
one of C++ or sh directly is what it prints; a line of ... stands for any lines.
"""

import dataclasses
import pathlib
import re

SOURCE = pathlib.Path(__file__).resolve().parents[2]


class PageError(Exception):
    """What is wrong with a page, with its line."""


@dataclasses.dataclass
class Block:
    language: str
    line: int  # of its first line of code, counted from 1
    code: list[str]
    given: list[str] = dataclasses.field(default_factory=list)
    example: str = ""
    continued: bool = False
    file_scope: bool = False
    throws: bool = False
    not_run: str = ""
    output: list[str] | None = None


def page_name(path):
    """The name of a page's test: letters, digits and underscores."""
    return re.sub(r"\W", "_", pathlib.Path(path).stem.lower())


def blocks_of(path):
    """All blocks of a page in order, those of tables included."""
    path = pathlib.Path(path)
    lines = path.read_text(encoding="utf-8").split("\n")
    blocks = []
    marks = {}
    follows = None  # the block that a block of text here would be the output of
    i = 0
    while i < len(lines):
        line = lines[i]
        if line.startswith("```"):
            language = line[3:]
            end = next((j for j in range(i + 1, len(lines)) if lines[j] == "```"), None)
            if end is None:
                raise PageError(f"{path}:{i + 1}: the block has no end")
            code = lines[i + 1 : end]
            if language == "text" and follows is not None and not marks:
                follows.output = code
                follows = None
            else:
                follows = make_block(path, language, i + 2, code, marks)
                blocks.append(follows)
            marks = {}
            i = end
        elif line.startswith("<!--"):
            end = next((j for j in range(i, len(lines)) if lines[j].endswith("-->")), None)
            if end is None:
                raise PageError(f"{path}:{i + 1}: the comment has no end")
            add_mark(path, i + 1, lines[i : end + 1], marks)
            i = end
        elif line.startswith("|") and "table" in marks:
            end = next((j for j in range(i, len(lines)) if not lines[j].startswith("|")), len(lines))
            blocks += cells(path, i + 1, lines[i:end], marks)
            marks = {}
            i = end - 1
        elif line.strip():
            if marks:
                raise PageError(f"{path}:{i + 1}: a block belongs here, to the mark above")
            follows = None
        i += 1
    return blocks


def add_mark(path, number, lines, marks):
    if lines[0] == "<!-- given":
        marks["given"] = lines[1:-1]
        return
    text = lines[0].removeprefix("<!--").removesuffix("-->").strip() if len(lines) == 1 else ""
    if re.fullmatch(r"tools/examples/\w+\.cpp", text):
        marks["example"] = text
    elif text in ("continued", "file scope", "throws"):
        marks[text.replace(" ", "_")] = True
    elif text.startswith("not run: "):
        marks["not_run"] = text.removeprefix("not run: ")
    elif text == "compiled and run":
        marks["table"] = True
    else:
        raise PageError(f"{path}:{number}: no such mark: {lines[0]}")


def make_block(path, language, number, code, marks):
    if language == "cpp":
        return Block(language, number, code, **marks)
    if language == "sh" and not set(marks) - {"not_run"}:
        return Block(language, number, code, **marks)
    if set(marks) == {"not_run"}:
        return Block(language, number, code, **marks)
    raise PageError(
        f"{path}:{number - 1}: a block of '{language}' is not tested: it must be cpp, sh, the output of a block above, "
        "or marked <!-- not run: REASON -->"
    )


def cells(path, number, lines, marks):
    """A block for each piece of code in the last column; the table's head and rule are skipped. All are in one function,
    each in a scope of its own; of a name alone it is checked that there is one."""
    blocks = []
    for i, row in enumerate(lines[2:], number + 2):
        last = re.split(r"(?<!\\)\|", row.rstrip().removesuffix("|"))[-1].replace("\\|", "|")
        for code in re.findall(r"`([^`]+)`", last):
            statement = f"using tapegrad::{code}" if re.fullmatch(r"[\w:]+", code) else code
            block = Block("cpp", i, [f"{{ {statement}; }}"], continued="continued" in marks or bool(blocks))
            block.given = [] if block.continued else marks.get("given", [])
            blocks.append(block)
    if not blocks:
        raise PageError(f"{path}:{number}: no code in the table's last column")
    return blocks
