"""Whatever a name holds, an independent reader of Markdown shows that name and nothing else."""

import pytest
from markdown_it import MarkdownIt

from burst2vec.markdown import code_block, markdown_table, markdown_text

READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
HOSTILE = [
    'x"); import os; os.system("touch broken',
    "<script>alert(1)</script>",
    "</td></table><img src=x onerror=alert(1)>",
    "<!-- hidden",
    "a|b",
    "a\\|b",
    "a\\\\|b\\",
    "`code` and ``` more",
    "**bold** *slanted* _slanted_ __init__ ~~gone~~",
    "[a link](javascript:alert(1)) ![picture](https://elsewhere/x.png) [other][1]",
    "[1]: https://elsewhere",
    "<https://elsewhere>",
    "$\\badmacro{$",
    "{}{name}{0.__class__}%s %(name)s",
    "&lt;b&gt; &amp; &#60; R&B; A & B",
    "p < 0.001 > 0",
    "--- ---: | --- |",
    "emotion_ccc/Awe, Surprise (Negative) -0.05 #1 é 笑",
]


def shown(inline):
    """What a reader sees of a line; markup of any kind fails."""
    assert {child.type for child in inline.children} <= {"text"}, inline.children
    return "".join(child.content for child in inline.children)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_shown_letter_for_letter_in_a_line_a_heading_and_a_cell(name):
    line, heading, item = (READER.parse(before + markdown_text(name)) for before in ("It is ", "# ", "- of "))
    assert shown(line[1]) == f"It is {name}" and shown(heading[1]) == name
    assert [shown(token) for token in item if token.type == "inline"] == [f"of {name}"]
    for aligned in (True, False):
        tokens = READER.parse(markdown_table([["a", name], [name, "0.5"]], aligned=aligned))
        assert [token.type for token in tokens if token.type.startswith("t")].count("tr_open") == 2
        assert [shown(token) for token in tokens if token.type == "inline"] == ["a", name, name, "0.5"]


@pytest.mark.parametrize("break_", ["\n", "\r\n", "\n\n---\n\n", "\u2028", "\x1b[31m", "\u202e", "\x00"])
def test_a_name_stays_on_its_line(break_):
    text = markdown_text(f"one{break_}# two")
    assert text.isprintable() and "# two" in text
    assert [token.type for token in READER.parse("It is " + text)] == ["paragraph_open", "inline", "paragraph_close"]


def test_a_folders_name_that_is_no_text_can_be_written():
    assert markdown_text("runs\udcff").encode() == b"runs?"


def test_code_stays_in_its_block():
    for code in ("a = 1\n", "a\n```\n# out\n````\n", "`" * 9):
        (block,) = READER.parse(code_block(code, "python"))
        assert (block.type, block.info, block.content.rstrip("\n")) == ("fence", "python", code.rstrip("\n"))


def test_columns_stand_under_each_other_and_sides_may_be_chosen():
    rows = [["score", "model", "better"], ["age_mae", "3.709", "lower"]]
    assert markdown_table(rows, "<><").splitlines() == [
        "| score   | model | better |",
        "| :------ | ----: | :----- |",
        "| age_mae | 3.709 | lower  |",
    ]
    assert markdown_table(rows, aligned=False).splitlines()[1] == "| --- | ---: | ---: |"
