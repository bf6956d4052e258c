"""Doxygen's view of ops/elementwise/rows.h: the functions and layers that the table's rows stand for, as declarations with
the comments of the rows. usage: rows_filter.py rows.h (to the standard output)"""

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


def main(path):
    functions, layers = [], []
    text = pathlib.Path(path).read_text(encoding="utf-8")
    for table, about, body in re.findall(r"#define (TAPEGRAD_\w+)\(row\)()((?:.*\\\n)*.*\n)", text):
        if table not in FUNCTIONS:
            continue
        comment = ""
        for written, row in re.findall(r"/\*(.*?)\*/|row\((.*?)\)", body, flags=re.DOTALL):
            if written:
                comment = " ".join(written.replace("\\\n", " ").split())
                continue
            columns = [c.strip() for c in row.split(",")]
            what = comment or "1 where it holds, else 0, in the dtype of the operands; not differentiable."
            for declaration in FUNCTIONS[table]:
                functions += [f"/// {what}", declaration.format(*columns)]
            if table in LAYERS:
                layers += [
                    f"/// {columns[0]}() as a layer: {what}",
                    f"class {columns[1]} : public Module {{",
                    " public:",
                    f"  /// {columns[0]}() as a layer.",
                    LAYERS[table].format(*columns),
                    "};",
                ]
    print("/// @file\n/// The elementwise functions.\nnamespace tapegrad {")
    print("\n".join(functions))
    print("namespace nn {")
    print("\n".join(layers))
    print("}\n}")


if __name__ == "__main__":
    main(sys.argv[1])
