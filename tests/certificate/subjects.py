"""What the tests of certificates try: no device, no operator."""

from seq2seq_fast.certificate import Subject, Task

SUBJECT = Subject("stand_in", "a device", "1.2", "a build", "2.13", "3.6")
TASKS = [Task("attention_decoder", form, "float32", way) for form in ("gru", "lstm") for way in ("forward", "backward")]
