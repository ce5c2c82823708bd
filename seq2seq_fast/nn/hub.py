"""Saving and loading a model as a folder, or on the Hugging Face Hub, where huggingface_hub is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seq2seq_fast.files import give_mode, usual_mode
from seq2seq_fast.nn.stored import check_checksums, check_stored, whole_model

MODEL_CARD = """
---
{{ card_data }}
---

A recurrent sequence-to-sequence model with attention (Bahdanau, Cho, Bengio 2014, [arXiv 1409.0473](https://arxiv.org/abs/1409.0473)).

```python
from seq2seq_fast.nn import Seq2Seq

model = Seq2Seq.from_pretrained("this folder or repository")
```
"""

DOWNLOAD_OPTIONS = {
    "revision", "cache_dir", "force_download", "local_files_only", "token", "proxies", "resume_download"
}  # fmt: skip

try:
    from huggingface_hub import PyTorchModelHubMixin, constants, hf_hub_download

    class HubMixin(PyTorchModelHubMixin):
        """``save_pretrained``, ``from_pretrained`` and ``push_to_hub``, in safetensors only and strict about names.

        ``from_pretrained(folder_or_repository, map_location="cpu", strict=True)`` returns the model in evaluation mode.
        Files whose checksums are known are compared with them.
        """

        def _save_pretrained(self, save_directory: Path) -> None:
            super()._save_pretrained(save_directory)
            give_mode(save_directory / constants.SAFETENSORS_SINGLE_FILE, usual_mode(save_directory))

        @classmethod
        def from_pretrained(cls, pretrained_model_name_or_path: Any, **options: Any) -> Any:
            path = Path(pretrained_model_name_or_path)
            # A repository is "name" or "owner/name"; whatever else looks like a path is meant as one.
            if not path.is_dir() and (path.is_absolute() or path.exists() or len(path.parts) > 2):
                raise FileNotFoundError(f"{path} is no folder of a model, and no repository's name")
            if path.is_dir():
                pretrained_model_name_or_path = whole_model(path)
            return super().from_pretrained(pretrained_model_name_or_path, **options)

        @classmethod
        def _from_pretrained(
            cls,
            *,
            model_id: str,
            config: Any = None,
            map_location: str = "cpu",
            strict: bool = True,
            **download: Any,
        ) -> Any:
            unknown = set(download) - DOWNLOAD_OPTIONS
            if unknown:
                raise TypeError(f"from_pretrained knows no {', '.join(sorted(unknown))}")
            if config is None:
                raise FileNotFoundError(f"{model_id} has no {constants.CONFIG_NAME}")
            names = (constants.CONFIG_NAME, constants.SAFETENSORS_SINGLE_FILE)
            if Path(model_id).is_dir():
                settings, weights = (Path(model_id, name) for name in names)
            else:
                settings, weights = (Path(hf_hub_download(model_id, name, **download)) for name in names)
            check_stored(cls, config, weights)
            check_checksums(settings, weights)
            return cls._load_as_safetensor(cls(config), str(weights), map_location, strict)

except ImportError:

    class HubMixin:  # type: ignore[no-redef]
        """In place of huggingface_hub's mixin: the model works, saving and loading say what is missing."""

        def __init_subclass__(cls, **card: Any) -> None:
            super().__init_subclass__()

        def save_pretrained(self, *args: Any, **kwargs: Any) -> None:
            raise _missing("save_pretrained")

        @classmethod
        def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
            raise _missing("from_pretrained")

        def push_to_hub(self, *args: Any, **kwargs: Any) -> None:
            raise _missing("push_to_hub")

    def _missing(method: str) -> ImportError:
        return ImportError(
            f"{method} needs huggingface_hub and safetensors: pip install huggingface_hub safetensors "
            "(they come with seq2seq_fast[train])"
        )
