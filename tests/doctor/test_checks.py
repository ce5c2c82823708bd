import pytest
import torch

from seq2seq_fast.cases import OPERATORS, Draw
from seq2seq_fast.cases.attention_decoder import AttentionDecoder
from seq2seq_fast.cases.gru_cell import GRUCell
from seq2seq_fast.cases.lstm_cell import LSTMCell
from seq2seq_fast.cuda_kernels.plan import H100, plan_decoder
from seq2seq_fast.cuda_kernels.plan_backward import plan_decoder_backward
from seq2seq_fast.doctor import checks
from seq2seq_fast.doctor.checks import CHECKS, Target, applicable, run_check
from tests.doctor.backends import backend_for_tests
from tests.support.emulated import emulated
from tests.support.engines import ENGINES

CPU = torch.device("cpu")


def by_name(operator):
    return operator.name


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("operator", OPERATORS, ids=by_name)
def test_every_backend_passes_every_check(engine, operator):
    target = Target(engine.backend, torch.device(engine.device), torch.float32, quick=True)
    for name in applicable(operator, target.device):
        check = run_check(name, operator, target)
        assert check.passed, (name, check.explanations)
        assert check.compared and check.worst is not None


def failed_checks(**changes):
    with backend_for_tests(**changes) as backend:
        target = Target(backend, CPU, torch.float32, quick=True)
        found = [run_check(name, LSTMCell(), target) for name in applicable(LSTMCell(), CPU)]
    return [check.name for check in found if not check.passed]


def test_a_right_backend_passes():
    assert failed_checks() == []


def test_a_wrong_output_is_noticed_wherever_outputs_are_compared():
    wrong = failed_checks(forward=lambda hidden: hidden * (1 + 1e-4))
    assert wrong == ["outputs", "gradients", "NaN and infinities"]


def test_a_wrong_gradient_is_noticed():
    assert "gradients" in failed_checks(backward=lambda gates: gates * (1 + 1e-3))
    assert failed_checks(backward=torch.zeros_like) == ["gradients", "large arguments"]


def test_nan_that_spreads_to_other_rows_is_noticed():
    spread = failed_checks(forward=lambda hidden: hidden + 0 * hidden.sum())
    assert spread == ["NaN and infinities"]


def test_memory_that_was_never_written_is_noticed():
    def forward(hidden):
        return torch.where(torch.empty_like(hidden).isnan(), torch.nan, hidden)

    # Other checks fail too where the memory happens to hold an earlier NaN.
    assert "same bits twice" in failed_checks(forward=forward)


def test_bits_that_change_from_run_to_run_are_noticed():
    turns = iter(range(10**6))

    def forward(hidden):
        return hidden * (1 + 2e-7 * (next(turns) % 2))

    assert failed_checks(forward=forward) == ["same bits twice"]


def test_a_call_that_raises_has_failed_in_one_line():
    with backend_for_tests() as backend:
        check = run_check("outputs", GRUCell(), Target(backend, CPU, torch.float32, quick=True))
    assert not check.passed and check.worst is None
    assert check.error.startswith("NotImplementedError: ") and "\n" not in check.error
    assert check.explanations == [check.error] and len(check.error) <= 200


@pytest.mark.parametrize("operator", OPERATORS, ids=by_name)
def test_cases_reach_beyond_one_block_only_in_a_full_run(operator):
    few, all_cases = operator.cases(quick=True), operator.cases(quick=False)
    assert len(few) < len(all_cases)
    assert max(size for case in few for size in case.sizes.values()) < 32
    assert max(size for case in all_cases for size in case.sizes.values()) > 64


def test_padding_is_checked_where_there_is_a_source_and_graphs_on_cuda():
    for operator in OPERATORS:
        assert ("padding, empty rows" in applicable(operator, CPU)) == operator.attends
        assert "CUDA graph replay" not in applicable(operator, CPU)
        assert "CUDA graph replay" in applicable(operator, torch.device("cuda"))
    assert set(applicable(OPERATORS[0], torch.device("cuda"))) == set(CHECKS)


@pytest.mark.parametrize("operator", [o for o in OPERATORS if o.attends], ids=by_name)
def test_the_padding_check_has_a_full_a_half_and_an_empty_row_of_nan(operator):
    inputs = operator.inputs(operator.degenerate(), Draw(torch.float32, CPU))
    operator.fill_padding(inputs)
    lengths, keys = inputs.constants["lengths"], inputs.tensors["keys"]
    assert lengths[0] == keys.shape[1] and lengths[2] == 0
    assert bool(keys[2].isnan().all()) and not bool(keys[0].isnan().all())


@pytest.mark.parametrize("operator", OPERATORS, ids=by_name)
@pytest.mark.parametrize("replayed", ["as captured", "nothing"])
def test_what_a_graph_replays_is_compared(monkeypatch, operator, replayed):
    class Graph:
        """Stands for a CUDA graph: a capture runs nothing, a replay writes into the captured outputs."""

        def __init__(self, phases_of):
            (run,) = phases_of()
            run()
            self.captured = run.__closure__

        def replay(self):
            for cell in self.captured if replayed == "nothing" else ():
                if isinstance(cell.cell_contents, list) and isinstance(cell.cell_contents[0], dict):
                    for tensors in cell.cell_contents:
                        for tensor in tensors.values():
                            tensor.detach().zero_()

    monkeypatch.setattr(checks, "captured", lambda phases_of: [Graph(phases_of)])
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    check = run_check("CUDA graph replay", operator, Target("reference", CPU, torch.float32))
    assert check.passed == (replayed == "as captured"), check.explanations


@pytest.mark.parametrize("operator", [o for o in OPERATORS if "decoder" in o.name], ids=by_name)
def test_the_cuda_engines_one_launch_is_checked_for_every_cell_and_in_graphs(operator):
    for quick in (True, False):
        for cases in (operator.cases(quick), operator.graphed()):
            fitting = [case for case in cases if case.sizes["units"] % 8 == case.sizes["hidden"] % 8 == 0]
            plans = [
                planner(
                    H100, cell=case.options["cell"], reset_after=case.options.get("reset_after", True), itemsize=2,
                    batch=case.sizes["batch"], positions=case.sizes["source"], units=case.sizes["units"],
                    hidden=case.sizes["hidden"],
                )
                for case in fitting
                for planner in (plan_decoder, plan_decoder_backward)
            ]  # fmt: skip
            assert {case.options["cell"] for case in fitting} == {"rnn", "gru", "lstm"}
            assert all(plan.fits for plan in plans)
        assert any(case.sizes["units"] % 8 for case in operator.cases(quick))


def test_the_cuda_engines_kernels_pass_the_decoders_checks_in_16_bits():
    """Under g++, with every device that a GPU would be."""
    target = Target(emulated().backend, CPU, torch.bfloat16, quick=True)
    for name in ("outputs", "gradients", "same bits twice"):
        check = run_check(name, AttentionDecoder(), target)
        assert check.passed and check.compared, check.explanations


def test_large_arguments_are_no_check_of_the_decoder_in_16_bits():
    decoder = OPERATORS[-1]
    assert run_check("large arguments", decoder, Target("reference", CPU, torch.bfloat16, quick=True)) is None
