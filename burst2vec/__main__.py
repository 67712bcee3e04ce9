"""``python -m burst2vec``, and so ``accelerate launch -m burst2vec train RECIPE``."""

import sys

from .command_line import main

if __name__ == "__main__":
    sys.exit(main())
