"""Tables of predictions as files: CSV for spreadsheets, Parquet for programs, JSON for everything else."""

import json
import math
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet

from ..data.cells import as_cell
from ..errors import RunError
from ..files import draft_of, write_whole

TABLES = (".csv", ".parquet", ".json")


def check_table_path(path: str | Path, overwrite: bool = False) -> Path:
    """A path that a table can be written to.

    Raises:
        RunError: an ending of no kind of table, no such folder, or a file that is there already.
    """
    path = Path(path)
    if path.suffix.lower() not in TABLES:
        raise RunError(f"{path}: a table ends in {', '.join(TABLES)}")
    if not path.absolute().parent.is_dir():
        raise RunError(f"{path}: there is no folder {path.absolute().parent}; make it first")
    if path.exists() and not overwrite:
        raise RunError(f"{path}: is there already; give another table, or --overwrite")
    return path


def save_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as its path's ending says; a missing number is an empty cell, or null.

    In CSV numbers have six digits behind the point, and texts that a spreadsheet would run as formulas an apostrophe in
    front, and lists are JSON. JSON is a list of objects, one per row.
    """
    ending = path.suffix.lower()
    if ending == ".parquet":
        with draft_of(path) as draft:
            parquet.write_table(pa.Table.from_pandas(table, preserve_index=False), draft)
    elif ending == ".json":
        rows = [{name: _plain(value) for name, value in row.items()} for row in table.to_dict("records")]
        write_whole(path, json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    else:
        texts = table.select_dtypes(exclude="number").columns
        cells = table.assign(**{name: table[name].map(_text, na_action="ignore") for name in texts})
        cells.columns = [as_cell(name) for name in table.columns]
        content = cells.to_csv(index=False, float_format="%.6f", lineterminator="\n")
        write_whole(path, content.encode("utf-8", "backslashreplace"))


def _text(value: str | list) -> str:
    return as_cell(json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value)


def _plain(value):
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return None if value is pd.NA else value
