"""Look over a corpus before training on it: what is in it, what is wrong with it, and a report to read and to share.

    python examples/check_corpus.py hume_vb --data_dir HUME-VB --out reports/hume_vb
    python examples/check_corpus.py --recipe RECIPE.yaml [--data_dir DIR]      # the corpus and the tasks of a recipe
    python examples/check_corpus.py folder --data_dir CLIPS      # clips of your own

Of a folder of your own, files, speakers, splits, duplicates and levels are checked; labels only where sub-folders name
classes, or a recipe says what the columns of the table mean.

Exit status: 0 nothing is wrong; 1 there are problems that a run would survive (clips that it would skip, silent clips,
duplicates, labels that are all missing); 2 refused: a speaker in two splits, more than half of a split unreadable, or a
corpus or command line that cannot be read at all.
"""

import argparse
import io
import json
import sys
from typing import TYPE_CHECKING

from burst2vec.command_line.declared import choices_of_corpora, constants, corpora
from burst2vec.errors import Burst2VecError, refused

if TYPE_CHECKING:
    from burst2vec.data.checking import CorpusCheck
    from burst2vec.data.corpora.record import PrintedCounts

FORMATS = constants("data/checking/check_report.py")["FORMATS"]


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("corpus", nargs="?", choices=sorted(corpora()), help="the corpus; left out with --recipe")
    options.add_argument("--recipe", help="a recipe, whose sections data and model say what to read")
    options.add_argument("--data_dir", help="the corpus's folder")
    options.add_argument("--more_dirs", nargs="+", metavar="FOLDER", help="further folders of it, for emogator")
    for key, (words, about) in choices_of_corpora().items():
        options.add_argument(f"--{key}", choices=words, help=about)
    options.add_argument("--cache_dir", help="of the datasets library")
    options.add_argument("--num_proc", type=int, help="processes to decode with (default: as many as there are cores)")
    options.add_argument("--out", help="folder of the report; without it the check is printed only")
    options.add_argument("--format", choices=[*FORMATS, "both"], default="both", help="of the report (default: both)")
    options.add_argument("--seed", type=int, default=0, help="draws the clips of the map of emotions (default: 0)")
    options.add_argument(
        "--allow_shared_speakers", action="store_true", help="a speaker in two splits is a problem, no refusal"
    )
    return options


def check(options: argparse.Namespace) -> "tuple[str, CorpusCheck, PrintedCounts | None]":
    """The corpus's name, its check, and what a paper printed of it.

    Readers let speakers in two splits through here: the check names them all.
    """
    from burst2vec.data.checking import check_corpus
    from burst2vec.data.corpora import CORPORA, known_tasks, load_bursts, lost_in_reading
    from burst2vec.experiment.corpus_keys import settings_of
    from burst2vec.experiment.inputs import read_corpora, tasks_of
    from burst2vec.experiment.recipes import parse_run
    from burst2vec.experiment.sections import CorpusArguments

    allow = options.allow_shared_speakers
    chosen = {key: getattr(options, key) for key in choices_of_corpora()}
    more = {} if options.more_dirs is None else {"more_dirs": options.more_dirs}
    if options.recipe is not None:
        settings = {"data_dir": options.data_dir, "cache_dir": options.cache_dir, **chosen}
        words = [word for key, value in settings.items() if value is not None for word in (f"--{key}", value)]
        words += [word for key, folders in more.items() for word in (f"--{key}", json.dumps(folders))]
        run = parse_run([options.recipe, *words])
        described = run.data.corpora
        tasks = tasks_of(run)
        allow = allow or any(corpus.allow_shared_speakers for corpus in described.values())
        for one in described.values():
            one.allow_shared_speakers = "allow_shared_speakers" in CORPORA[one.corpus].takes
        title, corpus = " + ".join(described), read_corpora(run.data, tasks)
        printed = None if run.data.mix is not None else CORPORA[run.data.corpus].printed
        mixed = run.data.mix is not None
        lost = [loss for name in described for loss in _lost(described[name], tasks, f"{name}/" if mixed else "")]
    else:
        title, printed = options.corpus, CORPORA[options.corpus].printed
        asked = CorpusArguments(title, options.data_dir, **chosen, **more)
        tasks = known_tasks(title, options.data_dir, **settings_of(asked))
        settings = settings_of(asked, tasks=tasks, allow_shared_speakers=True)
        corpus = load_bursts(title, options.data_dir, cache_dir=options.cache_dir, **settings)
        lost = lost_in_reading(title, options.data_dir, **settings)
    return title, check_corpus(corpus, tasks, options.num_proc, allow, lost), printed


def _lost(corpus, tasks, prefix: str) -> list:
    """What a recipe's corpus does not read of its folder, under the names that a mixture gives its clips."""
    from burst2vec.data.corpora import lost_in_reading
    from burst2vec.experiment.corpus_keys import settings_of

    settings = settings_of(corpus, tasks=tasks, allow_shared_speakers=True)
    found = lost_in_reading(corpus.corpus, corpus.data_dir, **settings)
    return [loss._replace(name=prefix + loss.name) for loss in found]


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    from burst2vec.data.checking.check_report import write_report
    from burst2vec.data.checking.check_tables import contents_table, lacking_clips, printed_table, sound_table
    from burst2vec.data.corpora import CORPORA

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names may have letters that the console does not
    if (options.corpus is None) == (options.recipe is None):
        parser().error("name a corpus, or give --recipe with a file; one of the two")
    if options.corpus is not None and CORPORA[options.corpus].write is None and options.data_dir is None:
        parser().error(f"the corpus {options.corpus} is read from a folder; give it with --data_dir FOLDER")
    try:
        title, found, printed = check(options)
        print(found.summary(), end="\n\n")
        for table in (contents_table(found), sound_table(found)):
            print(table.to_string(), end="\n\n")
        if printed is not None:
            print(f"{printed_table(found, printed).to_string()}\n\nprinted: {printed.source}")
            print(f"{lacking_clips(found, printed)}\n")
        if options.out is not None:
            formats = FORMATS if options.format == "both" else (options.format,)
            written = write_report(found, options.out, title, formats, options.seed, printed)
            print("\n".join(f"wrote {path}" for path in written))
        found.raise_if_refused()
    except Burst2VecError as error:
        return refused(error)
    return found.status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
