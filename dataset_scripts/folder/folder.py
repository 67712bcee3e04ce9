"""A folder of your own bursts to Parquet in the Hub's layout, as a recipe of yours describes it.

    python dataset_scripts/folder/folder.py --recipe my_bursts.yaml --data_dir FOLDER --out path/to/new/folder

The recipe, such as a copy of examples/recipes/folder/my_bursts.yaml, says what the labels are and where they stand: its
tasks, table, columns and splits. Before you publish, fill in a copy of the card, README.md beside this script, and give
it with --card.
"""

import argparse
import re
import sys
from pathlib import Path

from burst2vec.data import load_bursts
from burst2vec.data.corpora.folder import CORPUS
from burst2vec.data.corpus_publishing import upload_corpus, write_parquet_corpus
from burst2vec.errors import Burst2VecError
from burst2vec.experiment.corpus_keys import keys_of
from burst2vec.experiment.execute import refused
from burst2vec.experiment.recipes import load_recipe


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", required=True, help="whose tasks, table, columns and splits to take")
    parser.add_argument("--data_dir", help="the folder; by default the recipe's")
    parser.add_argument("--out", required=True, help="new folder to write to; load_dataset(out) reads it")
    parser.add_argument("--card", help="dataset card, filled in; by default a template with what to say in <…>")
    parser.add_argument("--on_bad_clip", choices=("raise", "skip"), default="raise")
    parser.add_argument("--num_proc", type=int, help="processes to check clips with")
    parser.add_argument("--push_to_hub", metavar="REPO", help="upload to this repository, private unless --public")
    parser.add_argument("--public", action="store_true", help="every speaker has agreed, and the licence allows it")
    args = parser.parse_args(arguments)

    try:
        recipe = load_recipe(args.recipe)
        data_dir = args.data_dir or recipe.data.get("data_dir")
        if recipe.data.get("corpus") != "folder":
            parser.error(
                f"{args.recipe} is of the corpus {recipe.data.get('corpus')}; give a recipe with corpus: folder"
            )
        if data_dir is None:
            parser.error(f"{args.recipe} names no data_dir; give --data_dir FOLDER")
        card = Path(args.card) if args.card else Path(__file__).with_name("README.md")
        if args.push_to_hub and (blanks := re.findall(r"<[^<>\n]+>", card.read_text(encoding="utf-8"))):
            parser.error(f"{card} has blanks to fill in before it is published, such as {blanks[0]}; give --card CARD")

        settings = {key: recipe.data[key] for key in keys_of(CORPUS) if key in recipe.data}
        corpus = load_bursts("folder", data_dir, tasks=recipe.model["tasks"], **settings)
        write_parquet_corpus(corpus, args.out, card, args.on_bad_clip, args.num_proc)
        if args.push_to_hub:
            print(upload_corpus(args.out, args.push_to_hub, private=not args.public))
    except Burst2VecError as error:
        return refused(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
