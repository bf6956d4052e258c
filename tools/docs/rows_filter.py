"""Doxygen's view of ops/elementwise/rows.h: the functions and layers that the table's rows stand for, as declarations
with the comments of the rows. usage: rows_filter.py rows.h (to the standard output)"""

import dataclasses
import pathlib
import re
import sys

# What a table's rows become; {0} is the function, {1} the operation, then the row's further columns.
FUNCTIONS = {
    "TAPEGRAD_UNARY_OPS": ["Tensor {0}(const Tensor& x);"],
    "TAPEGRAD_SLOPE_OPS": ["Tensor {0}(const Tensor& x);"],
    "TAPEGRAD_BINARY_OPS": ["Tensor {0}(const Tensor& a, const Tensor& b);"],
    "TAPEGRAD_BINARY_FUNCTIONS": [
        "Tensor {0}(const Tensor& a, const Tensor& b);",
        "Tensor {0}(const Tensor& a, double b);",
        "Tensor {0}(double a, const Tensor& b);",
    ],
    "TAPEGRAD_COMPARISON_OPS": [
        "Tensor {0}(const Tensor& a, const Tensor& b);",
        "Tensor {0}(const Tensor& a, double b);",
        "Tensor {0}(double a, const Tensor& b);",
    ],
    "TAPEGRAD_ACTIVATIONS": ["Tensor {0}(const Tensor& x);"],
    "TAPEGRAD_NUMBER_ACTIVATIONS": ["Tensor {0}(const Tensor& x, double {4} = {5});"],
    "TAPEGRAD_LEARNT_ACTIVATIONS": ["Tensor {0}(const Tensor& x, const Tensor& {4});"],
}
LAYERS = {
    "TAPEGRAD_ACTIVATIONS": "  {1}();",
    "TAPEGRAD_NUMBER_ACTIVATIONS": "  explicit {1}(double {4} = {5});",
    "TAPEGRAD_LEARNT_ACTIVATIONS": "  explicit {1}(std::int64_t size = 1, Dtype dtype = f32);",
}
# Tables whose functions are written out elsewhere, with comments there.
ELSEWHERE = {"TAPEGRAD_MIXED_OPS"}
# Tables whose rows need no comment each, as they differ in their names alone.
COMMENTS = {"TAPEGRAD_COMPARISON_OPS": "1 where it holds, else 0, in the dtype of the operands; not differentiable."}


@dataclasses.dataclass
class Row:
    table: str
    columns: list[str]  # the function, the operation, and what the table has beside them
    comment: str


def rows_of(path):
    """All rows of the tables that declare functions."""
    rows = []
    text = pathlib.Path(path).read_text(encoding="utf-8")
    for table, body in re.findall(r"#define (TAPEGRAD_\w+)\(row\)((?:.*\\\n)*.*\n)", text):
        if table in ELSEWHERE:
            continue
        if table not in FUNCTIONS:
            sys.exit(f"{path}: what is {table}? rows_filter.py knows no declarations for its rows")
        comment = ""
        for written, row in re.findall(r"/\*(.*?)\*/|row\((.*?)\)", body, flags=re.DOTALL):
            if written:
                comment = " ".join(written.replace("\\\n", " ").split())
                continue
            columns = [c.strip() for c in row.split(",")]
            comment = comment or COMMENTS.get(table, "")
            if not comment:
                sys.exit(f"{path}: row({row}) of {table} has no comment above it")
            rows.append(Row(table, columns, comment))
            comment = ""
    return rows


def main(path):
    functions, layers = [], []
    for row in rows_of(path):
        for declaration in FUNCTIONS[row.table]:
            functions += [f"/// {row.comment}", declaration.format(*row.columns)]
        if row.table in LAYERS:
            function, name = row.columns[:2]
            layers += [
                f"/// {function}() as a layer: {row.comment}",
                f"class {name} : public Module {{",
                " public:",
                f"  /// {function}() as a layer.",
                LAYERS[row.table].format(*row.columns),
                "};",
            ]
    print("/// @file\n/// The elementwise functions.\nnamespace tapegrad {")
    print("\n".join(functions))
    print("namespace nn {")
    print("\n".join(layers))
    print("}\n}")


if __name__ == "__main__":
    main(sys.argv[1])
