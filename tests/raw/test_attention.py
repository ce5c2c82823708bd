"""The arguments of attention's backward as one value."""

import torch

from seq2seq_fast.ops.schemas import SCHEMAS
from seq2seq_fast.raw.attention import AttendBackward


def test_every_argument_of_the_schema_has_its_name_in_the_call():
    schema = torch._C.parse_schema("attend_backward" + SCHEMAS["attend_backward"])
    listed = {argument.name: torch.full((2,), float(place)) for place, argument in enumerate(schema.arguments)}
    call = AttendBackward.of(*listed.values())
    found = {**call.source._asdict(), **call._asdict()}
    del found["source"]
    assert found.keys() == listed.keys()
    assert all(found[name] is value for name, value in listed.items())
