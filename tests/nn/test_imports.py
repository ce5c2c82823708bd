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
