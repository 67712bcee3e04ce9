"""HUME-VB as its makers hand it out, to Parquet in the Hub's layout.

    python dataset_scripts/hume_vb/hume_vb.py --data_dir path/to/hume_vb --out path/to/new/folder
    python dataset_scripts/hume_vb/hume_vb.py --data_dir path/to/hume_vb --labels all --audio raw --out …

The corpus is under a signed agreement: its recordings may go to a private repository of yours, and to no public one.
"""

import argparse
import sys
from pathlib import Path

from burst2vec.data import load_bursts
from burst2vec.data.corpora.hume_vb import CORPUS
from burst2vec.data.corpora.options import add_options, options_given
from burst2vec.data.corpus_publishing import upload_corpus, write_parquet_corpus
from burst2vec.errors import Burst2VecError
from burst2vec.experiment.execute import refused


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", required=True, help="folder with data_info.csv or labels/, and the audio")
    add_options(parser, CORPUS, but=["allow_shared_speakers"])  # the card says that there are none
    parser.add_argument("--out", required=True, help="new folder to write to; load_dataset(out) reads it")
    parser.add_argument("--on_bad_clip", choices=("raise", "skip"), default="raise")
    parser.add_argument("--num_proc", type=int, help="processes to check clips with")
    parser.add_argument("--push_to_hub", metavar="REPO", help="upload to this repository, private")
    parser.add_argument("--i_have_signed_the_agreement", action="store_true", help="asked for with --push_to_hub")
    args = parser.parse_args(arguments)
    if args.push_to_hub and not args.i_have_signed_the_agreement:
        parser.error("--push_to_hub needs --i_have_signed_the_agreement: HUME-VB is handed out to signatories only")

    try:
        corpus = load_bursts("hume_vb", data_dir=args.data_dir, **options_given(args, CORPUS))
        write_parquet_corpus(corpus, args.out, Path(__file__).with_name("README.md"), args.on_bad_clip, args.num_proc)
        if args.push_to_hub:
            print(upload_corpus(args.out, args.push_to_hub, private=True))
    except Burst2VecError as error:
        return refused(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
