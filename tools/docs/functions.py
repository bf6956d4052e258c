"""The library's functions of tensors, as the headers that programs include declare them.
usage: functions.py (to the standard output, a name a line)"""

import pathlib
import re

import rows_filter

SOURCE = pathlib.Path(__file__).resolve().parents[2]
# What ops.h leaves out, as it takes longer to compile.
OWN_HEADERS = ["ops/map.h", "ops/map_sum.h", "ops/scalar/scalar_function.h"]
# What other functions and rules of derivatives are written in.
BUILDING_BLOCKS = {"gaussian", "scalar_like"}
DECLARATION = re.compile(r"^(?:TAPEGRAD_API |inline )*[A-Za-z][\w:]*(?:<[\w:<>, ]*>)? ([a-z]\w*)\(", flags=re.MULTILINE)
DETAIL = re.compile(r"^namespace (?:tapegrad::)?detail \{.*?^\}  // namespace (?:tapegrad::)?detail", flags=re.M | re.S)


def of_tensors():
    """Their names, in order."""
    rows = SOURCE / "ops/elementwise/rows.h"
    names = {row.columns[0] for row in rows_filter.rows_of(rows) if row.table != "TAPEGRAD_SLOPE_OPS"}
    includes = re.findall(r"<tapegrad/(ops/\w+/\w+\.h)>", (SOURCE / "ops/ops.h").read_text(encoding="utf-8"))
    for header in [h for h in includes if not h.startswith("ops/functional/")] + OWN_HEADERS:
        text = (SOURCE / header).read_text(encoding="utf-8")
        names.update(DECLARATION.findall(DETAIL.sub("", text)))
    return sorted(names - BUILDING_BLOCKS)


if __name__ == "__main__":
    print("\n".join(of_tensors()))
