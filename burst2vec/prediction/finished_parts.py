"""What a prediction has finished, in a folder beside its table, so that one that was killed is resumed.

table.csv.parts/           removed when the table is written
  heading.json             which model, which clips
  part-00000.parquet       of the first 256 clips, or of the first recording, written whole
"""

import json
import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet

from ..errors import RunError
from ..files import draft_of, remove_drafts, write_json

CLIPS_PER_PART = 256  # in memory at once: 1 GB where each is 60 s long; and what a kill can cost
HEADING = "heading.json"


class Parts:
    """The finished parts of a table; in memory where there is no folder.

    Args:
        folder: where they lie; None keeps them in memory.
        heading: JSON; what the values depend on.
        clips: of the whole table, or recordings.
        recordings: a part is of one recording, and has any number of rows; else of many clips, one row each.

    Raises:
        RunError: the folder holds parts of another heading, or something else.
    """

    def __init__(self, folder: Path | None, heading: dict, clips: int, recordings: bool = False):
        self.folder, self.counted = folder, not recordings
        per_part = 1 if recordings else CLIPS_PER_PART
        starts = range(0, clips, per_part)
        self.rows = [range(start, min(start + per_part, clips)) for start in starts]
        self.in_memory: dict[int, pd.DataFrame] = {}
        self.heading = heading
        if folder is not None:
            self._check()

    def _check(self) -> None:
        path = self.folder / HEADING
        if path.is_file():
            before = json.loads(path.read_text(encoding="utf-8"))
            if differing := [key for key in self.heading if before.get(key) != self.heading[key]]:
                raise RunError(
                    f"{self.folder}: was begun with another {' and another '.join(differing)}; resume that one, delete "
                    "the folder, or give another table with --out"
                )
        elif any(path for path in self.folder.iterdir() if not path.name.startswith(".")):
            raise RunError(f"{self.folder}: is there, and is no begun prediction; give another table with --out")
        remove_drafts(self.folder)  # of a run that was killed

    def missing(self) -> list[int]:
        """The numbers of the parts that are not there yet."""
        return [number for number, rows in enumerate(self.rows) if not self._is_whole(number, len(rows))]

    def _is_whole(self, number: int, rows: int) -> bool:
        if self.folder is None:
            return number in self.in_memory
        try:
            found = parquet.read_metadata(self._path(number)).num_rows
            return found == rows or not self.counted
        except (OSError, pa.ArrowInvalid):  # absent, or cut off by a power failure
            return False

    def _path(self, number: int) -> Path:
        return self.folder / f"part-{number:05d}.parquet"

    def add(self, number: int, part: pd.DataFrame) -> None:
        if self.folder is None:
            self.in_memory[number] = part
            return
        if not (self.folder / HEADING).is_file():  # written late: a call that is refused leaves no folder behind
            write_json(self.folder / HEADING, self.heading)
        with draft_of(self._path(number)) as draft:
            parquet.write_table(pa.Table.from_pandas(part, preserve_index=False), draft)

    def whole(self) -> pd.DataFrame:
        """All rows, in order."""
        numbers = range(len(self.rows))
        if self.folder is None:
            parts = [self.in_memory[number] for number in numbers]
        else:
            parts = [parquet.read_table(self._path(number)).to_pandas() for number in numbers]
        return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)

    def remove(self) -> None:
        if self.folder is not None:
            shutil.rmtree(self.folder)
