"""EmoGator, a folder of MP3 or Opus files or several, to Parquet in the Hub's layout.

    python dataset_scripts/emogator/emogator.py --data_dir path/to/EmoGator --out path/to/new/folder

The twenty validation speakers, see burst2vec/data/corpora/emogator.py, are the split "validation", the rest "train".
"""

import argparse
import sys
from pathlib import Path

from burst2vec.data import load_bursts
from burst2vec.data.corpus_publishing import upload_corpus, write_parquet_corpus
from burst2vec.errors import Burst2VecError
from burst2vec.experiment.execute import refused


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", required=True, help="the corpus's repository, or its folder of MP3 files")
    parser.add_argument("--more_dirs", nargs="+", metavar="FOLDER", help="further folders that hold other parts of it")
    parser.add_argument("--out", required=True, help="new folder to write to; load_dataset(out) reads it")
    parser.add_argument("--on_bad_clip", choices=("raise", "skip"), default="raise")
    parser.add_argument("--num_proc", type=int, help="processes to check clips with")
    parser.add_argument("--push_to_hub", metavar="REPO", help="upload to this repository, private unless --public")
    parser.add_argument("--public", action="store_true", help="its licence, Apache-2.0, allows it")
    args = parser.parse_args(arguments)

    try:
        corpus = load_bursts("emogator", data_dir=args.data_dir, more_dirs=args.more_dirs)
        write_parquet_corpus(corpus, args.out, Path(__file__).with_name("README.md"), args.on_bad_clip, args.num_proc)
        if args.push_to_hub:
            print(upload_corpus(args.out, args.push_to_hub, private=not args.public))
    except Burst2VecError as error:
        return refused(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
