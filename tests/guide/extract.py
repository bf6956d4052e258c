"""Makes C++ of the blocks of a page: extract.py PAGE.md OUT.cpp; or, of the pages' names, their main: extract.py --main
OUT.cpp NAME..."""

import pathlib
import sys

import blocks


def functions(path):
    """The lines of a page's functions, each of one block and those that continue it."""
    includes, scope, body, calls = [], [], [], []

    def add(lines, line_number, to):
        # Messages of the compiler name the page.
        to.append(f'#line {line_number} "{path}"')
        for line in lines:
            if line.startswith("#include"):
                includes.append(line)
                line = ""  # so that the lines below it have their numbers
            to.append(line)

    open_function = False
    runs = True
    for block in blocks.blocks_of(path):
        if block.language != "cpp" or block.example:
            continue
        if block.file_scope:
            if open_function:
                body.append("}")
                open_function = False
            add(block.given + block.code, block.line - len(block.given), body)
            continue
        if block.continued:
            if not open_function or not runs:
                raise blocks.PageError(f"{path}:{block.line}: there is no block to continue, or it is not run")
        else:
            if open_function:
                body.append("}")
            body.append(f"void block_{block.line}_{len(calls)}() {{")
            if not block.not_run:
                calls.append(f"block_{block.line}_{len(calls)}();")
            open_function = True
            runs = not block.not_run
            add(block.given, block.line - len(block.given), body)
        body.append(f"guide::begin_block({block.line});")
        if block.throws:
            body.append("guide::must_throw([&] {")
        add(block.code, block.line, body)
        if block.throws:
            body.append("});")
    if open_function:
        body.append("}")
    return includes, body, calls


def page_program(path):
    includes, body, calls = functions(path)
    name = blocks.page_name(path)
    head = ['#include "guide.h"'] + sorted(set(includes))
    return head + [
        f"namespace {name}_page {{",
        "using namespace tapegrad;",
        "namespace {",
        *body,
        "}",
        "void run() {",
        *calls,
        "}",
        "}",
    ]


def main_program(names):
    lines = ['#include "guide.h"', ""]
    lines += [f"namespace {n}_page {{ void run(); }}" for n in names]
    lines += ["", "int main(int argc, char** argv) {", "  return guide::run_page(argc, argv, {"]
    lines += [f'      {{"{n}", {n}_page::run}},' for n in names]
    return lines + ["  });", "}"]


def main(arguments):
    if arguments[0] == "--main":
        out, lines = arguments[1], main_program(arguments[2:])
    else:
        out, lines = arguments[1], page_program(arguments[0])
    pathlib.Path(out).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except blocks.PageError as e:
        sys.exit(str(e))
