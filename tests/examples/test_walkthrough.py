"""The walkthrough notebook: it is stored as it ran, and it still comes to what it says."""

import json
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "examples" / "walkthrough.ipynb"
RESULTS = """
import json
print(json.dumps({
    "gru_difference": gru_difference,
    "attention_difference": attention_difference,
    "greedy_bleu": greedy_bleu,
    "beam_bleu": beam_bleu,
    "weight_before": average_largest_weight(maps_before),
    "weight_after": average_largest_weight(maps_after),
    "error_before": error_before,
    "error_after": error_after,
    "by_length": by_length,
    "long_translation": long_translation,
}))
"""


@pytest.fixture(scope="module")
def notebook():
    nbformat = pytest.importorskip("nbformat")
    return nbformat.read(NOTEBOOK, as_version=4)


def _code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_the_stored_notebook_is_valid_and_small(notebook):
    import nbformat

    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert NOTEBOOK.stat().st_size < 400_000


def test_every_code_cell_was_executed_in_order_and_none_failed(notebook):
    cells = _code(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 4


def test_the_stored_outputs_name_no_folder_of_a_machine_and_hold_no_warning(notebook):
    shown = [
        text
        for cell in _code(notebook)
        for output in cell.outputs
        for text in (output.get("text", ""), output.get("data", {}).get("text/plain", ""))
    ]
    assert not [text for text in shown if re.search(r"[Ww]arning|(?<![\w<])/\w+/\w+", text)]


@pytest.mark.prove
def test_the_walkthrough_runs_and_comes_to_what_it_says(notebook):
    client = pytest.importorskip("nbclient").NotebookClient
    import nbformat

    fresh = nbformat.from_dict(json.loads(json.dumps(notebook)))
    fresh.cells.append(nbformat.v4.new_code_cell(RESULTS))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = client(
        fresh, timeout=1800, kernel_name="python3", coalesce_streams=True, resources={"metadata": {"path": str(ROOT)}}
    )
    results = json.loads(run.execute(env=environment).cells[-1].outputs[0].text)
    assert results["gru_difference"] < 1e-5 and results["attention_difference"] < 1e-5
    assert results["greedy_bleu"] > 75 and results["beam_bleu"] > 75
    assert results["weight_before"] < 0.2 < 0.6 < results["weight_after"]
    assert results["error_after"] < 0.6 < results["error_before"]
