"""The synthetic corpus: write it in HUME-VB's layout, and from there to Parquet in the Hub's layout.

    python dataset_scripts/synthetic/synthetic.py --data_dir corpora/synthetic
    python dataset_scripts/synthetic/synthetic.py --data_dir corpora/synthetic --out path/to/new/folder

A ``data_dir`` written before with the same arguments is read as it is.
"""

import argparse
import sys
from pathlib import Path

from burst2vec.data import load_bursts
from burst2vec.data.corpora.options import add_options, options_given
from burst2vec.data.corpora.synthetic import CORPUS, write_synthetic_corpus
from burst2vec.data.corpus_publishing import upload_corpus, write_parquet_corpus
from burst2vec.errors import Burst2VecError
from burst2vec.experiment.execute import refused


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", required=True, help="folder for data_info.csv and wav/")
    add_options(parser, CORPUS)
    parser.add_argument("--out", help="new folder for Parquet files; load_dataset(out) reads it")
    parser.add_argument("--num_proc", type=int, help="processes to write and check clips with")
    parser.add_argument("--push_to_hub", metavar="REPO", help="upload to this repository, private unless --public")
    parser.add_argument("--public", action="store_true", help="nobody was recorded, so nothing forbids it")
    args = parser.parse_args(arguments)
    if args.push_to_hub and not args.out:
        parser.error("--push_to_hub uploads what --out wrote; give --out too")

    try:
        folder = write_synthetic_corpus(args.data_dir, num_proc=args.num_proc, **options_given(args, CORPUS))
        if args.out:
            corpus = load_bursts("synthetic", data_dir=folder)
            write_parquet_corpus(corpus, args.out, Path(__file__).with_name("README.md"), num_proc=args.num_proc)
        if args.push_to_hub:
            print(upload_corpus(args.out, args.push_to_hub, private=not args.public))
    except Burst2VecError as error:
        return refused(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
