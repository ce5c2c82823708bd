"""The model in training: loss, optimizer, validation BLEU."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import lightning.pytorch as pl
import torch
import torch.distributed
from torch import Tensor

from seq2seq_fast.data import Batch, Vocabulary
from seq2seq_fast.decoding import greedy_search
from seq2seq_fast.evaluation import score
from seq2seq_fast.nn import Seq2Seq
from seq2seq_fast.progress import tell
from seq2seq_fast.training.checkpoints import Validation
from seq2seq_fast.training.config import OptimizationConfig, TeacherForcingConfig
from seq2seq_fast.training.loss import alignment_loss, vocabulary_loss
from seq2seq_fast.training.schedule import Schedule
from seq2seq_fast.training.teacher_forcing import draw, parallel_mixture, sequential_mixture


class TranslationModule(pl.LightningModule):
    """Training of a `Seq2Seq`, scored by the BLEU of greedy translations.

    Args:
        model: the model.
        target_vocabulary: turns pieces into text, and names padding, begin and end.
        optimization: optimizer and schedule.
        references: the validation targets as text, by the numbers that the batches carry.
        spent: returns the spent share of the budget at a step, for the schedule.
        teacher_forcing: what the decoder reads; gold pieces by default.
        tokenize: sacreBLEU's tokenizer for the score.
        seed: of the random numbers; a training that goes on with another one does not go on with those of before.

    Attributes:
        validation: the last one's figures.
        scored: a fingerprint of the references and the tokenizer.
        vocabularies: a fingerprint of both, for the checkpoints.
    """

    def __init__(
        self,
        model: Seq2Seq,
        target_vocabulary: Vocabulary,
        optimization: OptimizationConfig,
        references: Sequence[str],
        spent: Callable[[int], float],
        teacher_forcing: TeacherForcingConfig | None = None,
        tokenize: str = "13a",
        seed: int = 1,
    ) -> None:
        super().__init__()
        self.model = model
        self._vocabulary = target_vocabulary
        self._optimization = optimization
        self._references = references
        self._spent = spent
        self._forcing = teacher_forcing or TeacherForcingConfig()
        self._translations: dict[int, str] = {}
        self._validation_loss = self._validation_tokens = 0.0
        self._resumed: dict[str, Any] | None = None
        self._tokenize, self._seed = tokenize, seed
        self.validation: Validation | None = None
        self.vocabularies: str | None = None
        self.scored = hashlib.sha256("\n".join([tokenize, *references]).encode()).hexdigest()[:16]
        # Loss and tokens of the batches whose gradients make the next step, and the tokens of the first of them.
        self._group: Tensor | None = None
        self._group_batches, self._group_first = 0, torch.ones(())

    def on_fit_start(self) -> None:
        # Every process has the same state here; each needs dropout masks of its own, and the first keeps its state.
        if self.global_rank > 0:
            torch.manual_seed(int(torch.randint(2**62, (1,))) + self.global_rank)

    def training_step(self, batch: Batch, batch_index: int) -> dict[str, Tensor]:
        share = self._forcing.share(self.trainer.global_step)
        mean = self._loss(batch, self._optimization.label_smoothing, share)
        tokens = batch.target_lengths.sum()
        total = torch.stack([mean.detach() * tokens, tokens.to(mean.dtype)])
        if self.trainer.world_size > 1:
            torch.distributed.all_reduce(total)
        if self._group is None:
            self._group, self._group_batches, self._group_first = total, 1, total[1]
        else:
            self._group, self._group_batches = self._group + total, self._group_batches + 1
        self.log("train_loss", self._group[0] / self._group[1], prog_bar=True, batch_size=1)
        if share < 1:
            self.log("teacher_forcing", share, batch_size=1)
        # The processes' gradients are averaged, each with the same weight, and Lightning divides by the batches of a
        # step. Taken back, these add up to the sum over all tokens of a step, over the tokens of its first batch.
        shares = self.trainer.world_size * self.trainer.accumulate_grad_batches
        return {"loss": mean * (tokens * shares / self._group_first), "tokens": total[1], "summed_loss": total[0]}

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Make the gradient that of the mean over the tokens of all batches of the step."""
        if self._group is not None and self._group_batches > 1:
            gradients = [p.grad for p in self.parameters() if p.grad is not None]
            torch._foreach_mul_(gradients, self._group_first / self._group[1])
        self._group = None

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        tokens = float(batch.target_lengths.sum())
        self._validation_loss += float(self._loss(batch, 0.0)) * tokens
        self._validation_tokens += tokens
        hypotheses = greedy_search(
            self.model,
            batch.source,
            batch.source_lengths,
            bos_id=self._vocabulary.bos_id,
            eos_id=self._vocabulary.eos_id,
        )
        for number, hypothesis in zip(batch.numbers.tolist(), hypotheses, strict=True):
            self._translations[number] = self._vocabulary.decode(hypothesis.tokens)

    def on_validation_epoch_end(self) -> None:
        self.validation = self.validation_figures()
        # Every process has the same figures.
        self.log("validation_loss", self.validation.loss, sync_dist=True)
        self.log("validation_bleu", self.validation.bleu, prog_bar=True, sync_dist=True)

    def validation_figures(self) -> Validation:
        """Return the figures of all that was validated since this was last asked, in all processes."""
        own = (self._translations, self._validation_loss, self._validation_tokens)
        parts = [own] * self.trainer.world_size
        if self.trainer.world_size > 1:
            torch.distributed.all_gather_object(parts, own)
        translations = {number: text for texts, _, _ in parts for number, text in texts.items()}
        loss = sum(part[1] for part in parts) / sum(part[2] for part in parts)
        numbers = sorted(translations)
        scores = score([translations[n] for n in numbers], [self._references[n] for n in numbers], self._tokenize)
        self._translations = {}
        self._validation_loss = self._validation_tokens = 0.0
        return Validation(scores.bleu, loss, self.scored)

    def configure_optimizers(self) -> Any:
        # Lightning does not clip the gradients of a fused optimizer in mixed precision.
        fused = self.trainer.precision in ("32-true", "64-true")
        optimizer = _optimizer(self.model, self._optimization, fused)
        self._schedule = Schedule(self._optimization.schedule, self._optimization.warmup_steps, self._spent)
        # A function: LambdaLR would write an object's attributes into the checkpoint.
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self._schedule(step))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # The dropout masks go on where they were, so that a resumed training is the uninterrupted one.
        checkpoint["random_state"], checkpoint["seed"] = torch.get_rng_state(), self._seed
        if self.device.type == "cuda":
            checkpoint["device_random_state"] = torch.cuda.get_rng_state(self.device)
        checkpoint["vocabularies"] = self.vocabularies
        # A validation may come between the batches of one step.
        checkpoint["gradients"] = self._pending_gradients()
        if self._group is not None:
            checkpoint["group"] = (self._group.cpu(), self._group_batches, self._group_first.cpu())
        if self.validation is not None:
            checkpoint["validation"] = self.validation._asdict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._resumed = checkpoint
        if not checkpoint["optimizer_states"] and self.global_rank == 0:
            tell("the checkpoint has weights alone: the optimizer begins anew")
        if self._same_seed():
            torch.set_rng_state(checkpoint["random_state"].cpu())

    def on_train_start(self) -> None:
        # What lies on the device is restored when the model has come there.
        same_seed = self._same_seed()
        resumed, self._resumed = self._resumed or {}, None
        if self.device.type == "cuda" and self.global_rank == 0 and same_seed and "device_random_state" in resumed:
            torch.cuda.set_rng_state(resumed["device_random_state"].cpu(), self.device)
        if "group" in resumed:  # version 0.1.0 has gradients without the tokens that they are of
            total, self._group_batches, first = resumed["group"]
            self._group, self._group_first = total.to(self.device), first.to(self.device)
            for name, gradient in resumed["gradients"].items():
                parameter = self.get_parameter(name)
                parameter.grad = gradient.to(parameter.device, parameter.dtype)
        elif resumed.get("gradients") and self.global_rank == 0:
            tell(
                "the checkpoint was written between the batches of one step, by version 0.1.0: the gradients of those "
                "before it are left out, and that step is of fewer batches"
            )
        if resumed:
            self._take_settings()

    def _same_seed(self) -> bool:
        return self._resumed is None or self._resumed.get("seed", self._seed) == self._seed

    def _take_settings(self) -> None:
        """Go on with what the settings say now: the checkpoint has the optimizer's of before."""
        optimizer, scheduler = self.optimizers(use_pl_optimizer=False), self.lr_schedulers()
        scheduler.last_epoch = self.trainer.global_step
        highest = self._optimization.learning_rate
        rate = highest * self._schedule(self.trainer.global_step)
        for group in optimizer.param_groups:
            group.update(weight_decay=self._optimization.weight_decay, initial_lr=highest, lr=rate)
            group.update({name: value for name, value in optimizer.defaults.items() if name == "fused"})
        scheduler.base_lrs = [highest] * len(optimizer.param_groups)
        scheduler._last_lr = [rate] * len(optimizer.param_groups)

    def _pending_gradients(self) -> dict[str, Tensor]:
        """Return what batches have added to the gradients since the last step, the mean of all processes."""
        if self._group is None:
            return {}
        gradients = {name: p.grad.detach().clone() for name, p in self.named_parameters() if p.grad is not None}
        if self.trainer.world_size > 1:
            for gradient in gradients.values():
                torch.distributed.all_reduce(gradient)
                gradient /= self.trainer.world_size
        return gradients

    def _loss(self, batch: Batch, label_smoothing: float, gold_share: float = 1.0) -> Tensor:
        state = self.model.start(self.model.encode(batch.source, batch.source_lengths))
        inputs = batch.target[:, :-1]
        if gold_share < 1:
            draws = draw(inputs, gold_share, self._forcing.prediction, batch.target_lengths)
            if self._forcing.form == "sequential":
                inputs = sequential_mixture(self.model, state, inputs, draws)
            else:
                inputs = parallel_mixture(self.model, state, inputs, draws, self._forcing.passes)
        guided = self.training and self._optimization.guided_alignment > 0 and batch.links is not None
        output = self.model.decoder(inputs, state, need_weights=guided)
        loss = vocabulary_loss(
            output.readout,
            self.model.decoder.output,
            batch.target[:, 1:],
            pad_id=self._vocabulary.pad_id,
            label_smoothing=label_smoothing,
        )
        if guided:
            attention = alignment_loss(output.weights, batch.links, batch.target_lengths.sum())
            self.log("alignment_loss", attention.detach(), batch_size=1)
            loss = loss + self._optimization.guided_alignment * attention
        return loss


def _optimizer(model: torch.nn.Module, config: OptimizationConfig, fused: bool) -> torch.optim.Optimizer:
    settings = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
    if config.optimizer == "adadelta":
        # Decay and epsilon of Bahdanau et al. 2014, section 4.2 and B.2.
        return torch.optim.Adadelta(model.parameters(), rho=0.95, eps=1e-6, **settings)
    optimizer = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer]
    return optimizer(model.parameters(), fused=fused, **settings)
