"""The subcommands of ``seq2seq-fast``: each file has ``make_parser``, and ``run`` on what was parsed.

Nothing beyond the standard library is imported before one is called.
"""
