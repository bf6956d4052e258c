"""Tests of what tests the pages: what no test would see is refused. The pages here are made up, in a temporary
folder."""

import contextlib
import io
import pathlib
import sys
import tempfile
import unittest
import unittest.mock

import blocks
import check
import extract
import lists

sys.path.insert(0, str(blocks.SOURCE / "tools/docs"))
import check_links  # noqa: E402
import functions  # noqa: E402

CPP = "```cpp\nf();\n```\n"
OUTPUT = "```text\n1\n```\n"


class Pages(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / "page.md"

    def page(self, text):
        self.path.write_text(text, encoding="utf-8")
        return self.path

    def blocks(self, text):
        return blocks.blocks_of(self.page(text))

    def refused(self, text, line, reason):
        """The page is an error at that line, for that reason."""
        with self.assertRaisesRegex(blocks.PageError, rf"page\.md:{line}: .*{reason}"):
            self.blocks(text)

    def check(self, text):
        """Whether the page passes, and what is said of it. Its blocks of C++ must need no program."""
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            ok = check.check(self.page(text), "/no/program", pathlib.Path("/no/folder"))
        return ok, said.getvalue()


class Blocks(Pages):
    def test_marks_and_output(self):
        text = f"<!-- given\nint i;\n-->\n{CPP}{OUTPUT}\n<!-- continued -->\n{CPP}```sh\nls\n```\n"
        one, two, three = self.blocks(text)
        self.assertEqual((one.language, one.line, one.code), ("cpp", 5, ["f();"]))
        self.assertEqual((one.given, one.output), (["int i;"], ["1"]))
        self.assertEqual((two.continued, two.output), (True, None))
        self.assertEqual((three.language, three.code), ("sh", ["ls"]))

    def test_output_of_what_does_not_run(self):
        self.refused(f"<!-- not run: why -->\n{CPP}{OUTPUT}", 5, "a block that is not run")
        self.refused(f"<!-- not run: why -->\n```sh\nls\n```\n\n{OUTPUT}", 6, "a block that is not run")
        self.refused(f"<!-- file scope -->\n{CPP}{OUTPUT}", 5, "a block that is not run")
        self.refused(f"<!-- tools/examples/network.cpp -->\n{CPP}{OUTPUT}", 5, "tests of its own")
        shown = self.blocks(f"<!-- not run: why -->\n{CPP}<!-- not run: nor this -->\n{OUTPUT}")[1]
        self.assertEqual((shown.language, shown.not_run), ("text", "nor this"))

    def test_output_behind_a_table_is_of_no_block(self):
        table = "<!-- compiled and run -->\n| a | b |\n|---|---|\n| a | `f()` |\n"
        self.refused(f"{CPP}\n{table}\n{OUTPUT}", 10, "is not tested")

    def test_fences_of_another_kind(self):
        self.refused(f"text\n\n  {CPP}", 3, "at the start of its line")
        self.refused("~~~cpp\nf();\n~~~\n", 1, "at the start of its line")
        self.refused("   ~~~\nf();\n~~~\n", 1, "at the start of its line")
        self.refused("```cpp\nf();\n", 1, "no end")

    def test_marks_without_a_block(self):
        self.refused(f"{CPP}\n<!-- throws -->\n", 6, "the page ends")
        self.refused("<!-- throws -->\n\nA sentence.\n", 3, "a block belongs here")
        self.refused(f"<!-- compiled and run -->\n{CPP}", 2, "a table belongs here")
        self.refused(f"<!-- thrown -->\n{CPP}", 1, "no such mark")

    def test_marks_that_do_not_go_together(self):
        program, given = "<!-- tools/examples/network.cpp -->\n", "<!-- given\nint i;\n-->\n"
        together = "do not go together"
        for mark in ("throws", "continued", "file scope", "not run: why", "compiled and run"):
            self.refused(f"{program}<!-- {mark} -->\n{CPP}", 2, together)
            self.refused(f"<!-- {mark} -->\n{program}{CPP}", 2, together)
        self.refused(f"{program}{given}{CPP}", 2, together)
        self.refused(f"<!-- continued -->\n{given}{CPP}", 2, together)
        self.refused(f"<!-- file scope -->\n<!-- throws -->\n{CPP}", 2, together)
        self.refused(f"<!-- file scope -->\n<!-- continued -->\n{CPP}", 2, together)
        self.refused(f"<!-- not run: why -->\n<!-- throws -->\n{CPP}", 2, together)
        self.refused(f"{given}{given}{CPP}", 4, "there already")
        self.refused("<!-- throws -->\n```sh\nls\n```\n", 2, "is not tested")

    def test_languages_that_nothing_tests(self):
        self.refused("```python\nprint(1)\n```\n", 1, "is not tested")
        self.refused(OUTPUT, 1, "is not tested")
        self.refused("```\nf();\n```\n", 1, "is not tested")


class Extract(Pages):
    def test_lines_have_the_numbers_of_the_page(self):
        _, body, _ = extract.functions(self.page("```cpp\n#include <a>\nf();\n```\n"))
        at = body.index("f();")
        self.assertEqual(body[at - 2 : at], [f'#line 2 "{self.path}"', ""])

    def test_what_is_not_run_cannot_be_continued(self):
        for start in ("", f"<!-- not run: why -->\n{CPP}"):
            with self.assertRaisesRegex(blocks.PageError, "no block to continue"):
                extract.functions(self.page(f"{start}<!-- continued -->\n{CPP}"))


class Check(Pages):
    def test_a_program_is_its_file(self):
        text = (blocks.SOURCE / "tools/examples/network.cpp").read_text(encoding="utf-8")
        mark = "<!-- tools/examples/network.cpp -->\n```cpp\n"
        self.assertEqual(self.check(f"{mark}{text}```\n"), (True, ""))
        for other in (text + "\n", text.replace("0.1", "0.2"), text.rpartition("}")[0]):
            ok, said = self.check(f"{mark}{other}```\n")
            self.assertFalse(ok)
            self.assertIn("this is not what tools/examples/network.cpp holds", said)
        ok, said = self.check("<!-- tools/examples/nothing.cpp -->\n```cpp\n```\n")
        self.assertFalse(ok)
        self.assertIn("there is no tools/examples/nothing.cpp", said)

    def test_output_is_compared(self):
        command = "```sh\nprintf 'a\\n1 s\\nb\\n'\n```\n```text\n"
        self.assertEqual(self.check(f"{command}a\n1 s\nb\n```\n"), (True, ""))
        self.assertEqual(self.check(f"{command}a\n...\nb\n```\n"), (True, ""))
        self.assertEqual(self.check(f"{command}a\n... s\nb\n```\n"), (True, ""))
        for other in ("a\n2 s\nb", "a\n1 s", "a\n...\nc", "a\n... m\nb", "a...\nb", ""):
            self.assertFalse(self.check(f"{command}{other}\n```\n")[0])
        ok, said = self.check("```sh\necho a\n```\n")
        self.assertFalse(ok)
        self.assertIn("it prints\na\n\nand not\nnothing", said)
        self.assertEqual(self.check("```sh\ntrue\n```\n"), (True, ""))
        with self.assertRaisesRegex(SystemExit, "page.md:2: bash ends with 1"):
            self.check("```sh\nfalse\n```\n")

    def test_links(self):
        self.assertEqual(self.check("[here](page.md), [there](https://example.org), `[no](link)`\n"), (True, ""))
        self.assertEqual(self.check("`code[i](const\nTensor& x)`\n"), (True, ""))
        ok, said = self.check("A ` alone.\n\n[Here](nothing.md), and ` another.\n")
        self.assertFalse(ok)
        self.assertIn("nothing.md", said)
        with self.assertRaisesRegex(SystemExit, "nothing.md"):
            check_links.main("", self.page("[here](nothing.md)\n"))


class Lists(Pages):
    def missing(self, name, text, *files):
        """What a page of that name lacks in a source that has these files beside it."""
        source = self.path.parent.resolve()
        page = source / name
        for path in [page, *(source / f for f in files)]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        page.write_text(text, encoding="utf-8")
        with unittest.mock.patch.object(blocks, "SOURCE", source):
            return list(lists.missing(page, blocks.blocks_of(page)))

    def test_what_is_missing_is_named(self):
        guide = "tools/docs/guide"
        table = "<!-- compiled and run -->\n| family | functions |\n|---|---|\n"
        lacking = self.missing(f"{guide}/operations.md", f"{table}| some | `sum`, `matmul` |\n")
        self.assertIn("the function split", lacking)
        self.assertNotIn("the function sum", lacking)
        self.assertNotIn("the function tanh_slope", lacking)
        self.assertEqual(len(lacking), len(functions.of_tensors()) - 2)
        self.assertEqual(
            self.missing(f"{guide}/examples.md", "`one [FILE]`\n", "tools/examples/one.cpp", "tools/examples/two.cpp"),
            ["the program two"],
        )
        self.assertIn("the page data.md", self.missing(f"{guide}/index.md", "[a](errors.md)\n", f"{guide}/data.md"))
        self.assertEqual(len(self.missing("README.md", "Nothing.\n")), 1)


if __name__ == "__main__":
    unittest.main()
