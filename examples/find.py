"""Find the bursts in long recordings: where they are and what they are.

    burst2vec find evening.flac --out bursts.csv                            # start, end, confidence, and what it is
    burst2vec find evening.flac --model runs/quickstart --out bursts.csv    # with a model of your own
    burst2vec find evening.flac --model none --out bursts.csv               # where alone
    burst2vec find RECORDINGS --labels labels --pictures pictures           # Audacity's labels and a picture of each
    burst2vec find call.mp3 --model you/model --out call.json --format hume

A burst is what stands out of its background; speech and other sounds do so too. Recordings are read a few seconds at a
time, whatever their length. Stopped or killed, the same command with --out resumes behind the last recording that it
finished: what is finished lies in TABLE.parts until everything is written. --format hume writes what Hume's retired
batch service answered for vocal bursts.

Exit status: 0; 1 where a recording cannot be read; 2 refused.
"""

import argparse
import inspect
import sys
from pathlib import Path

from burst2vec.audio.burst_regions import regions_of
from burst2vec.errors import Burst2VecError, RunError, refused
from burst2vec.shipped_models import DEFAULT_MODEL, shipped_models

NO_MODEL = "none"
SHOWN = 20  # bursts, where no table is written
ABOUT = {
    "threshold": "how far a burst stands out somewhere, in deviations of the background",
    "edge_threshold": "how far it stands out from beginning to end",
    "min_pause": "seconds; shorter pauses do not end a burst",
    "min_seconds": "of a burst",
    "max_seconds": "of a burst; longer ones are cut",
}


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("recordings", nargs="+", metavar="RECORDING", help="files, or folders of them")
    default = DEFAULT_MODEL if DEFAULT_MODEL in shipped_models() else NO_MODEL
    about = f"a folder, or a name on the Hub: says what each burst is; {NO_MODEL}: where alone (default: {default})"
    options.add_argument("--model", default=default, help=about)
    options.add_argument("--features", nargs="+", help="of a model that takes vectors: its feature sets, with places")
    options.add_argument("--out", metavar="TABLE", help="a new file: .csv, .parquet or .json")
    options.add_argument("--format", choices=("table", "hume"), default="table", help="of the table; hume is JSON")
    options.add_argument("--labels", metavar="FOLDER", help="write Audacity's labels of each recording there")
    options.add_argument("--pictures", metavar="FOLDER", help="draw each recording there")
    options.add_argument("--overwrite", action="store_true", help="replace a table that is there")
    defaults = inspect.signature(regions_of).parameters
    for name, about in ABOUT.items():
        default = defaults[name].default
        options.add_argument(f"--{name}", type=float, default=default, help=f"{about} (default: {default})")
    return options


def check(options: argparse.Namespace) -> None:
    """Refuse before anything is read what could not be written."""
    if options.format == "hume" and (options.model == NO_MODEL or not str(options.out).endswith(".json")):
        raise RunError("--format hume needs --model, which says what each burst is, and --out FILE.json")
    try:
        regions_of([], **{name: getattr(options, name) for name in ABOUT})
    except ValueError as error:
        raise RunError(str(error)) from error


def run(options: argparse.Namespace) -> int:
    from burst2vec.prediction import load_pipeline
    from burst2vec.prediction.finding import finding, named_recordings, parts_of
    from burst2vec.prediction.region_files import file_names

    folder = parts_of(options.out, options.overwrite)
    check(options)
    recordings = dict(named_recordings(options.recordings))
    places = {kind: getattr(options, kind) and Path(getattr(options, kind)) for kind in ("labels", "pictures")}
    pictures = file_names(list(recordings), places["pictures"], ".png") if places["pictures"] else {}
    if places["labels"]:
        file_names(list(recordings), places["labels"], ".txt")
    analyse = None if options.model == NO_MODEL else load_pipeline(options.model)
    arguments = {name: getattr(options, name) for name in ABOUT}
    with finding(options.recordings, analyse, folder, options.features, **arguments) as bursts:
        write(options, bursts, recordings, analyse, places["labels"], pictures)
    bad = bursts[bursts["start"].isna()]
    found = bursts[bursts["start"].notna()]
    if options.out is None and len(found):
        print(found[["file", "start", "end", "confidence"]].head(SHOWN).to_string(index=False))
    written = ", ".join(str(place) for place in (options.out, *places.values()) if place)
    print(f"{len(found):,} bursts in {len(recordings) - len(bad):,} recordings" + (f"; {written}" if written else ""))
    for name, problem in bad[["file", "problem"]].itertuples(index=False):
        print(f"error: {name}: {problem}".encode(errors="replace").decode(), file=sys.stderr)
    return 1 if len(bad) else 0


def write(options: argparse.Namespace, bursts, recordings: dict, analyse, labels: Path | None, pictures: dict) -> None:
    """The table, or Hume's JSON, labels and pictures: what was asked for."""
    from burst2vec.prediction.prediction_tables import save_table
    from burst2vec.prediction.region_files import hume_json, write_audacity, write_hume
    from burst2vec.prediction.region_pictures import draw_bursts

    if options.format == "hume":
        write_hume(Path(options.out), hume_json(bursts, recordings, analyse.model.config.task_records))
    elif options.out is not None:
        save_table(bursts, Path(options.out))
    if labels:
        write_audacity(bursts, list(recordings), labels)
    bad = set(bursts[bursts["start"].isna()]["file"])
    for name, place in pictures.items():
        if name not in bad:
            draw_bursts(recordings[name], bursts[bursts["file"] == name], place)


def main(arguments: list[str]) -> int:
    try:
        return run(parser().parse_args(arguments))
    except (Burst2VecError, OSError) as error:
        return refused(error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
