"""A corpus's report: one page to read and to share, and beside it a table of names for whoever mends the corpus.

report.html         the whole page in one file: its pictures are inside, and it asks for nothing from elsewhere
report.md           the same, with its pictures beside it in pictures/
report.json         the facts behind both
flagged_clips.csv   which clips and speakers, by name and with paths: it stays where the corpus is

Page and facts hold counts, ranges and pictures, and no name of a clip, of a speaker or of a place on this machine.
"""

import base64
import csv
import html
import json
from pathlib import Path

import pandas as pd

from ...drawing import picture_bytes
from ...errors import CorpusError
from ...files import write_whole
from ...markdown import markdown_table, markdown_text
from ..cells import as_cell
from ..corpora.record import PrintedCounts
from .check import CorpusCheck
from .check_plots import Picture, draw_corpus
from .check_tables import contents_table, label_table, lacking_clips, printed_table, sound_table

FORMATS = ("html", "md")
FLAGGED = "flagged_clips.csv"
PIXELS_PER_INCH = 130
_VERDICTS = ("Nothing is wrong.", "There are problems; a run would survive them.", "Refused: a run must not start.")


def write_report(
    check: CorpusCheck,
    folder,
    title: str,
    formats: tuple[str, ...] = FORMATS,
    seed: int = 0,
    printed: PrintedCounts | None = None,
) -> list[Path]:
    """Write a check's report; files of an earlier one are replaced.

    Args:
        check: of ``check_corpus``.
        folder: where to; made if it is not there.
        title: what the corpus is called in the heading.
        formats: of ``"html"`` and ``"md"``.
        seed: of the pictures that draw clips.
        printed: what a paper printed of the whole corpus.

    Returns:
        the pages first, then ``report.json`` and ``flagged_clips.csv``.

    Raises:
        CorpusError: ``folder`` is a file. ValueError: an unknown format.
    """
    if unknown := [format for format in formats if format not in FORMATS]:
        raise CorpusError(f"format {unknown[0]!r} is not one of {', '.join(FORMATS)}")
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise CorpusError(f"{folder}: is a file; give a folder to write the report into")
    folder.mkdir(parents=True, exist_ok=True)
    drawn = list(draw_corpus(check, seed))
    pictures = [(picture, _png(picture)) for picture in drawn if picture.figure is not None]
    foot = _FOOT + "".join(f" {picture.title}: {picture.caption}" for picture in drawn if picture.figure is None)
    tables = [
        ("What is in it", contents_table(check), "Of a class: its clips, and in brackets its speakers."),
        ("How it sounds", sound_table(check), "Level: root mean square of a clip; clips of zeros have none."),
        ("What it is labelled with", label_table(check), "Lowest / mean / highest value of the clips that have one."),
    ]
    if printed is not None:
        caption = f"Printed: {printed.source}. {lacking_clips(check, printed).capitalize()}."
        tables.insert(1, ("Beside what was printed", printed_table(check, printed), caption))
    tables = [table for table in tables if len(table[1])]
    written = []
    for format in formats:
        written.append(folder / f"report.{format}")
        page = {"html": _html, "md": _markdown}[format](check, title, tables, pictures, foot)
        write_whole(written[-1], page)
    if "md" in formats:
        (folder / "pictures").mkdir(exist_ok=True)
        for picture, png in pictures:
            write_whole(folder / "pictures" / f"{picture.name}.png", png)
    facts = {"title": title, **check.to_dict()}
    text = json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(folder / "report.json", text)
    flagged = check.flagged.map(as_cell).to_csv(index=False, quoting=csv.QUOTE_MINIMAL)
    write_whole(folder / FLAGGED, flagged)
    return [*written, folder / "report.json", folder / FLAGGED]


def _png(picture: Picture) -> bytes:
    return picture_bytes(picture.figure, PIXELS_PER_INCH)


def _markdown(check: CorpusCheck, title: str, tables: list, pictures: list, foot: str) -> str:
    lines = [f"# {markdown_text(title)}: corpus report", "", f"**{_VERDICTS[check.status]}**", ""]
    lines += [f"- **{remark.severity}**: {markdown_text(remark.text)}" for remark in check.remarks]
    lines += ["", *([_WHERE_NAMES_ARE.format(f"`{FLAGGED}`"), ""] if len(check.flagged) else [])]
    for heading, contents, caption in tables:
        lines += [f"## {heading}", "", _md_table(contents), "", caption, ""]
    for picture, _ in pictures:
        lines += [f"## {markdown_text(picture.title)}", ""]
        lines += [f"![{markdown_text(picture.title)}](pictures/{picture.name}.png)", ""]
        lines += [markdown_text(picture.caption), ""]
    return "\n".join([*lines, markdown_text(foot), ""])


def _md_table(contents: pd.DataFrame) -> str:
    return markdown_table([["", *contents.columns], *contents.itertuples()], aligned=False)


def _html(check: CorpusCheck, title: str, tables: list, pictures: list, foot: str) -> str:
    text = html.escape
    parts = [f"<h1>{text(title)} <small>corpus report</small></h1>"]
    parts.append(f'<p class="verdict status{check.status}">{_VERDICTS[check.status]}</p>')
    if check.remarks:
        items = "".join(
            f'<li><b class="{remark.severity}">{remark.severity}</b> {text(remark.text)}</li>'
            for remark in check.remarks
        )
        parts.append(f'<ul class="remarks">{items}</ul>')
    if len(check.flagged):
        parts.append(f"<p>{_WHERE_NAMES_ARE.format(f'<code>{FLAGGED}</code>')}</p>")
    for heading, table, caption in tables:
        parts.append(f"<h2>{heading}</h2>{_html_table(table)}<p class=caption>{caption}</p>")
    for picture, png in pictures:
        source = "data:image/png;base64," + base64.b64encode(png).decode("ascii")
        width = round(picture.figure.get_figwidth() * 100)
        image = f'<img alt="{text(picture.title)}" width="{width}" src="{source}">'
        parts.append(
            f"<h2>{text(picture.title)}</h2><figure>{image}<figcaption>{text(picture.caption)}</figcaption></figure>"
        )
    body = "\n".join([*parts, f"<footer>{text(foot)}</footer>"])
    return _PAGE.format(title=text(title), body=body)


def _html_table(table: pd.DataFrame) -> str:
    head = "".join(f"<th>{html.escape(column)}</th>" for column in table.columns)
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>\n"
        for name, *cells in table.itertuples()
    )
    return f'<div class="wide"><table><thead><tr><th></th>{head}</tr></thead><tbody>\n{rows}</tbody></table></div>'


_WHERE_NAMES_ARE = "Which clips and speakers these are stands in {}."
_FOOT = (
    "This page holds counts, ranges and pictures only, and names no clip, no speaker and no place; "
    f"{FLAGGED} does, and stays with the corpus."
)
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: corpus report</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #1c2530; background: #fff; max-width: 62rem; margin: 2.5rem auto;
  padding: 0 1.25rem; }}
h1 {{ font-size: 1.9rem; margin: 0 0 .75rem; }}
h1 small {{ font-weight: 400; font-size: 1.1rem; color: #66717f; }}
h2 {{ font-size: 1.25rem; margin: 2.5rem 0 .75rem; border-bottom: 1px solid #dfe4ea; padding-bottom: .25rem; }}
.verdict {{ padding: .6rem 1rem; border-left: .35rem solid #009E73; background: #eef7f3; font-weight: 600; }}
.verdict.status1 {{ border-color: #E69F00; background: #fdf6e7; }}
.verdict.status2 {{ border-color: #D55E00; background: #fcefe8; }}
.remarks {{ list-style: none; padding: 0; }}
.remarks li {{ padding: .3rem 0; }}
.remarks b {{ display: inline-block; min-width: 4.6rem; margin-right: .5rem; padding: 0 .45rem; border-radius: .25rem;
  text-align: center; font-size: .82rem; font-weight: 600; background: #e9edf1; color: #44505c; }}
.remarks b.problem {{ background: #fbe6b9; color: #6b4a00; }}
.remarks b.refused {{ background: #f6cdb5; color: #7a2f00; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .28rem .9rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #eceff3; }}
th:first-child {{ text-align: left; font-weight: 400; padding-left: 0; white-space: normal; }}
thead th {{ white-space: normal; vertical-align: bottom; border-bottom: 2px solid #b8c1cc; }}
td:last-child {{ font-weight: 600; }}
figure {{ margin: 0; }}
img {{ max-width: 100%; height: auto; }}
.caption, figcaption {{ color: #55606d; font-size: .9rem; margin-top: .4rem; }}
footer {{ margin-top: 3rem; padding-top: .75rem; border-top: 1px solid #dfe4ea; color: #66717f; font-size: .85rem; }}
code {{ font-size: .92em; }}
</style></head><body>
{body}
</body></html>
"""
