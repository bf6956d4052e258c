"""The code blocks of a Markdown page, and the marks in comments above them that say how each is tested.

A block of C++ is compiled as the body of a function, and run. Marks that stand in the lines above a block:

  <!-- tools/examples/NAME.cpp -->   the block is that file, line by line; the build compiles it, and tests run it
  <!-- given                         statements that come first in the function and are not shown;
  ...                                lines of #include go to the head of the file, here and in blocks
  -->
  <!-- continued -->                 more of the function of the block before
  <!-- file scope -->                declarations for the blocks that follow
  <!-- throws -->                    the block throws; the message is its output
  <!-- not run: REASON -->           C++ is compiled alone, anything else is shown alone; the test lists the reason
  <!-- compiled and run -->          above a table: each piece of code in its last column is a block

Blocks of sh are run by bash, in a folder that has tools/, tests/ and build/release/bin/. A block of text that follows
one of C++ or sh directly is what it prints, where ... stands for any text and a line of ... for any lines; without it
the block prints nothing. What no test would see is refused: marks that belong to no block or not together, fences of
another kind, output of what does not run.
"""

import dataclasses
import pathlib
import re

SOURCE = pathlib.Path(__file__).resolve().parents[2]


# Which marks a block of C++ may have together; a block of anything else has "not_run" alone.
TOGETHER = [
    {"example"},
    {"file_scope", "given"},
    {"given", "throws"},
    {"given", "not_run"},
    {"continued", "throws"},
]
OF_TABLES = [{"table", "given"}, {"table", "continued"}]


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
    cell: bool = False  # of a table
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
                add_output(path, i + 1, follows, code)
                follows = None
            else:
                follows = make_block(path, language, i + 2, code, marks)
                blocks.append(follows)
            marks = {}
            i = end
        elif re.match(r"\s+```|\s*~~~", line):
            raise PageError(f"{path}:{i + 1}: a block begins with ``` at the start of its line, or is not seen")
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
            follows = None
            i = end - 1
        elif line.strip():
            if marks:
                raise PageError(f"{path}:{i + 1}: a block belongs here, to the mark above")
            follows = None
        i += 1
    if marks:
        raise PageError(f"{path}:{len(lines)}: the page ends where a block belongs, to the mark above")
    return blocks


def add_output(path, number, block, lines):
    if block.not_run or block.file_scope or block.example:
        what = "a program that tests of its own run" if block.example else "a block that is not run"
        raise PageError(
            f"{path}:{number}: this would be the output of {what}, and nothing compares it; "
            "mark it <!-- not run: REASON --> if readers are to see it all the same"
        )
    block.output = lines


def add_mark(path, number, lines, marks):
    before = dict(marks)
    marks.update(mark_of(path, number, lines))
    if len(marks) == len(before):
        raise PageError(f"{path}:{number}: this mark is there already: {lines[0]}")
    if not any(set(marks) <= allowed for allowed in TOGETHER + OF_TABLES):
        raise PageError(f"{path}:{number}: marks that do not go together: {', '.join(marks)}")


def mark_of(path, number, lines):
    """The mark that a comment is, by its name in a Block."""
    if lines[0] == "<!-- given":
        return {"given": lines[1:-1]}
    text = lines[0].removeprefix("<!--").removesuffix("-->").strip() if len(lines) == 1 else ""
    if re.fullmatch(r"tools/examples/\w+\.cpp", text):
        return {"example": text}
    if text in ("continued", "file scope", "throws"):
        return {text.replace(" ", "_"): True}
    if text.startswith("not run: "):
        return {"not_run": text.removeprefix("not run: ")}
    if text == "compiled and run":
        return {"table": True}
    raise PageError(f"{path}:{number}: no such mark: {lines[0]}")


def make_block(path, language, number, code, marks):
    if "table" in marks:
        raise PageError(f"{path}:{number - 1}: a table belongs here, to the mark above")
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
    """A block for each piece of code in the last column; the table's head and rule are skipped. All are in one
    function, each in a scope of its own; of a name alone it is checked that there is one."""
    blocks = []
    for i, row in enumerate(lines[2:], number + 2):
        last = re.split(r"(?<!\\)\|", row.rstrip().removesuffix("|"))[-1].replace("\\|", "|")
        for code in re.findall(r"`([^`]+)`", last):
            statement = f"using tapegrad::{code}" if re.fullmatch(r"[\w:]+", code) else code
            block = Block("cpp", i, [f"{{ {statement}; }}"], cell=True)
            block.continued = "continued" in marks or bool(blocks)
            block.given = [] if block.continued else marks.get("given", [])
            blocks.append(block)
    if not blocks:
        raise PageError(f"{path}:{number}: no code in the table's last column")
    return blocks
