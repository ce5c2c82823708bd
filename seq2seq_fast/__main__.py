"""``python -m seq2seq_fast``: the command ``seq2seq-fast``."""

import sys

from seq2seq_fast.cli import main

if __name__ == "__main__":
    sys.exit(main())
