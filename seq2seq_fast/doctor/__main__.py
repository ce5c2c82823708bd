import sys

from seq2seq_fast.doctor import main

sys.exit(main())
