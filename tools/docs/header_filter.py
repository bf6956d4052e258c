"""Doxygen's view of a header, in which each declaration has the comment that this project's readers see above it.
usage: header_filter.py HEADER.h... (to the standard output)

A comment is that of all declarations behind it up to the next blank line or comment; Doxygen takes it for the first
one alone, so it is repeated. What says nothing that needs words is hidden: destructors, copies and moves, deleted
functions, friends, inherited constructors. Functions that override others are those of the class above."""

import pathlib
import re
import sys

HIDDEN = re.compile(
    r"=\s*delete;|^(?:virtual |explicit )?~|^friend |^static_assert|^extern template|^(?:struct|class) \w+;"
    r"|^using (?:\w+::)*\w+::\w+;$|^template <> struct fmt::formatter"
    r"|^(?P<made>\w+)\((?:const )?(?P=made)&+(?: \w+)?\)|^(?P<set>\w+)& operator=\((?:const )?(?P=set)&*(?: \w+)?\)"
)
CLASS = re.compile(r"(?<!enum )\b(class|struct|union|namespace)\b(<[^{};]*>|[^;=()])*\{$")
ENUM = re.compile(r"\benum (class )?\w+[^;()]*\{")

MACRO = re.compile(r"(TAPEGRAD_[A-Z_]+)\((operator\S|\w*)")
# What the macros of <tapegrad/ops/scalar/real_functions.h> define.
FUNCTIONS = {
    "TAPEGRAD_BINARY": "template <class A, class B> auto {}(const A& a, const B& b);",
    "TAPEGRAD_UNARY": "template <class X> auto {}(const X& x);",
    "TAPEGRAD_CONSTANT": "template <class X> auto {}(const X& x);",
}
# Those that declare nothing of their own for the reference: rows_filter.py has the functions of rows.h, and the others
# are overloads for numbers, operators, or no part of the interface.
WITHOUT_FUNCTIONS = re.compile(
    r"TAPEGRAD_(?:UNARY|SLOPE|BINARY|COMPARISON)_OPS|TAPEGRAD_BINARY_FUNCTIONS?|TAPEGRAD_(?:NUMBER_|LEARNT_|)ACTIVATIONS"
    r"|TAPEGRAD_FUNCTIONS_OF_(?:TWO_)?NUMBERS|TAPEGRAD_COMPARISON(?:_OPERATORS)?|TAPEGRAD_DUAL|TAPEGRAD_SCALAR_VALUES"
    r"|TAPEGRAD_COMMON_REDUCTIONS|TAPEGRAD_VECTOR_CALLS"
)


def code_of(line):
    """The line without its comments and literals."""
    line = re.sub(r'"(\\.|[^"\\])*"', '""', line)
    line = re.sub(r"'(\\.|[^'\\])'", "' '", line)
    line = re.sub(r"/\*.*?\*/", "", line)
    return line.split("//")[0].rstrip()


def escaped(comment):
    """A line of a comment, where <names> in brackets are no tags of HTML."""
    if re.match(r"\s*///< ?\S|\s*/// {0,3}\S", comment):
        return re.sub(r"(?<![\\/])<(?=[a-zA-Z])", r"\\<", comment)
    return comment


def end_of_statement(lines, start, with_body=False):
    """The number of the last line of the declaration that starts there; of a class that of its brace, unless all of it
    is asked for."""
    braces = parentheses = 0
    for i in range(start, len(lines)):
        code = code_of(lines[i])
        braces += code.count("{") - code.count("}")
        parentheses += code.count("(") - code.count(")")
        if braces <= 0 and parentheses <= 0 and code.endswith((";", "}")):
            return i
        declaration = " ".join(code_of(s).strip() for s in lines[start : i + 1])
        if not with_body and parentheses == 0 and CLASS.search(declaration):
            return i
    return len(lines) - 1


def enumerators(line):
    """The enumerators of an enum on one line are documented by its comment."""
    head, body, tail = re.fullmatch(r"(.*?\{)(.*)(\}.*)", line).groups()
    return [head, *(f"{e.strip()},  ///< As said above." for e in body.split(",") if e.strip()), tail]


def filtered(lines):
    out = []
    comment = None  # what the next declarations are documented by
    repeated = False
    i = 0
    while i < len(lines):
        line = lines[i]
        text = line.strip()
        end = i
        if text.startswith("///"):
            if not lines[i - 1].strip().startswith("///") or i == 0:
                comment, repeated = [], False
            comment.append(escaped(line))
            out.append(escaped(line))
        elif text == "// What follows is not part of the library's interface.":
            out.append("/// @cond")
            while lines[i + 1].strip() not in ("private:", "};"):
                out.append(lines[i])
                i += 1
            out += [lines[i], "/// @endcond"]
            comment = None
        elif not text or text.startswith(("//", "#", "}", "public:", "private:", "protected:", "TAPEGRAD_ROW")):
            if text.startswith("#"):  # with all lines that it goes on to
                while lines[i].endswith("\\"):
                    out.append(lines[i])
                    i += 1
                line = lines[i]
            out.append(line)
            comment = None
        elif (call := MACRO.match(text)) and not code_of(line).endswith(";"):
            while code_of(" ".join(lines[i : end + 1])).count("(") != code_of(" ".join(lines[i : end + 1])).count(")"):
                end += 1
            if call[1] in FUNCTIONS:
                if repeated or not comment:
                    out.append("/// The function of this name of \\<cmath>, or the operator, of Reals.")
                out.append(FUNCTIONS[call[1]].format(call[2]))
            elif not WITHOUT_FUNCTIONS.fullmatch(call[1]):
                sys.exit(f"header_filter.py does not know what {call[1]} declares: {text}")
            comment = None
            i = end
        else:
            end = end_of_statement(lines, i)
            statement = lines[i : end + 1]
            joined = " ".join(code_of(s).strip() for s in statement)
            own = "///<" in "".join(statement)
            is_class = CLASS.search(joined)
            hidden = HIDDEN.search(joined) and not (comment and not repeated)
            if hidden:
                end = end_of_statement(lines, i, with_body=True)
                statement = lines[i : end + 1]
                is_class = None
                statement = ["/// @cond", *statement, "/// @endcond"]
            elif (repeated or not comment) and " override" in joined and not own:
                out.append("/// See the class that declares it first.")
            elif repeated and comment and not own and not is_class:
                out += comment
            if comment and ENUM.search(joined) and len(statement) == 1 and "{" in joined:
                statement = enumerators(statement[0])
            out += [re.sub(r"///<.*", lambda m: escaped(m[0]), s) for s in statement]
            repeated = True
            if is_class:
                comment = None
            i = end
        i += 1
    return out


if __name__ == "__main__":
    for header in sys.argv[1:]:
        print("\n".join(filtered(pathlib.Path(header).read_text(encoding="utf-8").split("\n"))))
