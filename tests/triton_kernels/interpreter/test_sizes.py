import pytest

from seq2seq_fast.cases import BY_NAME
from tests.ops import test_sizes
from tests.support.engines import Engine

ENGINE = Engine("triton", "cpu")


def test_an_empty_batch_of_single_queries_gives_what_the_reference_gives():
    test_sizes.test_a_size_of_0_gives_what_the_reference_gives(ENGINE, True, BY_NAME["attend"], 0, "batch")


@pytest.mark.prove
@test_sizes.ALL_OR_LEAST
@test_sizes.EVERY_SIZE
def test_a_size_of_0_gives_what_the_reference_gives(given, operator, form, name):
    test_sizes.test_a_size_of_0_gives_what_the_reference_gives(ENGINE, given, operator, form, name)
