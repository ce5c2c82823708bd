"""Certified before trusted: what nobody has run on a device serves there only after it was tried there.

A verdict says of each task (an operator's form, a dtype, forward or backward) whether it was right on a device. It is
found in a child process with a time limit, so that a hang or an illegal access never reaches the process of a user, and
kept in the user's cache folder. This package knows no operator: what is tried, and by which command, its callers say.

Environment:
    SEQ2SEQ_FAST_CERTIFY: 0 never tries anything; verdicts that are there are read.
    SEQ2SEQ_FAST_CACHE: the folder of what is kept, instead of ``seq2seq_fast`` in XDG_CACHE_HOME or ``~/.cache``.
"""

from seq2seq_fast.certificate.gate import may_try, obtain, trusted, trusting, warn_of
from seq2seq_fast.certificate.subject import Subject, cache_folder, nvidia_driver, triton_version
from seq2seq_fast.certificate.trial import CannotTry, Limits
from seq2seq_fast.certificate.verdict import Task, Verdict, kept_verdicts, read

__all__ = [
    "CannotTry",
    "Limits",
    "Subject",
    "Task",
    "Verdict",
    "cache_folder",
    "kept_verdicts",
    "may_try",
    "nvidia_driver",
    "obtain",
    "read",
    "triton_version",
    "trusted",
    "trusting",
    "warn_of",
]
