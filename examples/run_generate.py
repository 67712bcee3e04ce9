"""Train a generator of vocal bursts, of one emotion or of all, from a recipe.

    accelerate launch examples/run_generate.py RECIPE [--key value …]

RECIPE is a .yaml file, or the name of one that comes with burst2vec: exvo_generate/flow_quick. Any key of the recipe's
sections can be changed on the command line; without arguments, the recipes are listed.
"""

import sys

from burst2vec.command_line.generate_help import generate_help


def main(arguments: list[str]) -> int:
    if {"-h", "--help"} & set(arguments):
        print(generate_help())
        return 0
    from burst2vec.generation.generation_run import main as generate

    return generate(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
