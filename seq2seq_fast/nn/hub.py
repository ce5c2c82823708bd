"""Saving and loading a model as a folder, or on the Hugging Face Hub, where huggingface_hub is installed."""

from __future__ import annotations

from typing import Any

try:
    from huggingface_hub import PyTorchModelHubMixin as HubMixin
except ImportError:

    class HubMixin:  # type: ignore[no-redef]
        """In place of huggingface_hub's mixin: the model works, saving and loading say what is missing."""

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
