"""Write down spoken numbers: filterbank features of sounds, read frame by frame.

No recording is used. The sounds are synthesised here: each of about twenty phones is a few formants (sine waves at
the frequencies of a vowel's resonances) or coloured noise, drawn with a random pitch, speed, loudness and background
noise. It is speech in form (a long input, sounds without gaps, many frames a word), not a human voice.

    python -m examples.speech
"""

from __future__ import annotations

import random
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from examples.common import PICTURES, Example, Score, Task, options, solve
from examples.pictures import draw_over_features

RATE, FRAME, HOP, BANDS = 8000, 256, 160, 24
# Formants in Hz (Peterson and Barney 1952, rounded, for vowels); noise as a band of frequencies.
VOWELS = {
    "iy": (270, 2290, 3010), "ih": (390, 1990, 2550), "eh": (530, 1840, 2480), "ah": (640, 1190, 2390),
    "ao": (570, 840, 2410), "uw": (300, 870, 2240), "er": (490, 1350, 1690), "ow": (450, 900, 2300),
    "n": (250, 1100, 2200), "w": (300, 610, 2200), "r": (310, 1060, 1380), "v": (220, 1100, 2080),
}  # fmt: skip
NOISES = {
    "s": (2800, 3900),
    "z": (2500, 3600),
    "f": (900, 3900),
    "th": (1400, 3900),
    "t": (2000, 3500),
    "k": (1200, 2200),
}
SPOKEN = {
    "zero": "z ih r ow", "one": "w ah n", "two": "t uw", "three": "th r iy", "four": "f ao r", "five": "f ah ih v",
    "six": "s ih k s", "seven": "s eh v ah n", "eight": "eh ih t", "nine": "n ah ih n",
}  # fmt: skip


def phone(name: str, pitch: float, seconds: float, noise: torch.Generator) -> Tensor:
    """Synthesise one phone, float32 [samples]."""
    time = torch.arange(int(seconds * RATE)) / RATE
    if name in VOWELS:
        voice = 0.7 + 0.3 * torch.cos(2 * torch.pi * pitch * time)
        sound = sum(torch.sin(2 * torch.pi * f * time) / (i + 1) for i, f in enumerate(VOWELS[name])) * voice
    else:
        low, high = NOISES[name]
        spectrum = torch.fft.rfft(torch.randn(len(time), generator=noise))
        frequencies = torch.linspace(0, RATE / 2, len(spectrum))
        sound = torch.fft.irfft(spectrum * ((frequencies > low) & (frequencies < high)), n=len(time))
    return sound * torch.sin(torch.pi * (torch.arange(len(time)) + 0.5) / len(time)).sqrt()


@lru_cache
def filters() -> Tensor:
    """Return triangles equally spaced in mel, [FRAME // 2 + 1, BANDS]."""
    top = 2595 * torch.log10(torch.tensor(1 + RATE / 2 / 700))
    edges = 700 * (10 ** (torch.linspace(0, float(top), BANDS + 2) / 2595) - 1)
    frequencies = torch.linspace(0, RATE / 2, FRAME // 2 + 1).unsqueeze(1)
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    return torch.minimum((frequencies - low) / (middle - low), (high - frequencies) / (high - middle)).clamp(min=0)


def filterbank(sound: Tensor) -> Tensor:
    """Return log mel filterbank features [frames, BANDS] of a sound, mean 0 and deviation 1."""
    frames = sound.unfold(0, FRAME, HOP) * torch.hann_window(FRAME)
    power = torch.fft.rfft(frames).abs().square()
    features = torch.log(power @ filters() + 1e-3)
    return (features - features.mean()) / features.std()


def draw(generator: random.Random) -> Example:
    """Draw two to four digits as one voice speaks them."""
    words = [generator.choice(list(SPOKEN)) for _ in range(generator.randint(2, 4))]
    noise = torch.Generator().manual_seed(generator.randrange(2**31))
    pitch, speed = generator.uniform(90, 250), generator.uniform(0.8, 1.3)
    phones = [name for word in words for name in SPOKEN[word].split()]
    sound = torch.cat([phone(name, pitch, speed * generator.uniform(0.05, 0.1), noise) for name in phones])
    sound = sound * generator.uniform(0.3, 1.0) + 0.02 * torch.randn(len(sound), generator=noise)
    return Example(filterbank(sound), words)


TASK = Task(draw, draw, list(SPOKEN), size=BANDS, dropout=0.3)


def main(steps: int = 400, pictures: Path = PICTURES) -> Score:
    result, [(example, found)] = solve(TASK, steps=steps, shown=1)
    print(draw_over_features(example.source.flip(1), found, pictures / "speech.png"))
    return result


if __name__ == "__main__":
    main(**options(__doc__, main))
