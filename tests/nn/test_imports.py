import subprocess
import sys

SCRIPT = """
import sys
sys.modules["huggingface_hub"] = None
import seq2seq_fast.nn as nn
heavy = {"lightning", "safetensors", "sentencepiece", "sacrebleu", "matplotlib", "transformers"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
layer = nn.AdditiveAttention(3, 4, 5)
model = nn.Seq2Seq(nn.Seq2SeqConfig(target_vocabulary_size=5, source_vocabulary_size=5))
for call in (model.save_pretrained, nn.Seq2Seq.from_pretrained, model.push_to_hub):
    try:
        call("x")
    except ImportError as error:
        print(error)
"""


def test_layers_and_model_need_torch_alone_and_saving_says_what_it_needs():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    messages = done.stdout.splitlines()
    names = [message.split(" needs ")[0] for message in messages]
    assert names == ["save_pretrained", "from_pretrained", "push_to_hub"]
    assert all("pip install huggingface_hub safetensors" in message for message in messages)


def test_the_layers_do_not_import_huggingface_hub():
    script = "import sys, seq2seq_fast.nn; sys.exit('huggingface_hub' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_the_layers_are_there_after_the_package_and_cost_nothing_before_they_are_used():
    script = """
import sys
import torch
before = set(sys.modules)
import seq2seq_fast
added = set(sys.modules) - before
layers = {name for name in added if name.startswith("seq2seq_fast.nn")}
heavy = {"triton", "huggingface_hub", "torch._dynamo", "torch._inductor", "torch.distributed.fsdp"} & added
assert not layers | heavy, layers | heavy
assert "nn" in dir(seq2seq_fast) and "nn" in seq2seq_fast.__all__
assert seq2seq_fast.nn.GRUCell is sys.modules["seq2seq_fast.nn"].GRUCell
try:
    seq2seq_fast.layers
except AttributeError as error:
    assert str(error) == "module 'seq2seq_fast' has no attribute 'layers'"
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
