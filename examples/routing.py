"""Find short round trips through cities with a pointer network (Vinyals, Fortunato, Jaitly 2015, arXiv 1506.03134).

The encoder reads the cities as a set, in any order; at every step `seq2seq_fast.nn.PointerAttention` points to one that
has not been visited. It learns to do as the best trips do, which for few cities can be found exactly.

    python -m examples.routing
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from examples.common import PICTURES, options
from seq2seq_fast.nn import PointerAttention
from seq2seq_fast.visualization.picture import COLORS, new_figure, save

CITIES = 9


class Routes(NamedTuple):
    """How much longer found trips are than the best ones, on average: the network's, and those to the nearest city."""

    pointer: float
    nearest: float


class PointerNetwork(nn.Module):
    """A transformer's encoder of cities [B, N, 2], and a GRU that points to one after the other."""

    def __init__(self, size: int = 64) -> None:
        super().__init__()
        self.place = nn.Linear(2, size)
        layer = nn.TransformerEncoderLayer(size, 4, 2 * size, dropout=0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.cell = nn.GRUCell(size, size)
        self.pointer = PointerAttention(2 * size, size, size, clip=10.0)

    def forward(self, cities: Tensor, trips: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Trips begin at the first city.

        Returns:
            The trip [B, N], the one given or else the most probable city at every step, and the scores of each next
            city [B, N - 1, N].
        """
        encoded = self.encoder(self.place(cities))
        memory, rows = self.pointer.memory(encoded), torch.arange(len(cities))
        allowed = torch.ones(cities.shape[:2], dtype=torch.bool)
        here, hidden = torch.zeros(len(cities), dtype=torch.int64), encoded.mean(1)
        start, visited, scores = encoded[:, 0], [here], []
        for step in range(1, cities.shape[1]):
            allowed = allowed.scatter(1, here.unsqueeze(1), False)
            hidden = self.cell(encoded[rows, here], hidden)
            scores.append(self.pointer(torch.cat([hidden, start], 1), memory=memory, mask=allowed))
            here = scores[-1].argmax(1) if trips is None else trips[:, step]
            visited.append(here)
        return torch.stack(visited, 1), torch.stack(scores, 1)


def lengths(cities: Tensor, trips: Tensor) -> Tensor:
    """The lengths [B] of round trips [B, N]."""
    stops = cities.gather(1, trips.unsqueeze(2).expand(-1, -1, 2))
    return (stops - stops.roll(-1, 1)).norm(dim=2).sum(1)


def best(cities: Tensor) -> Tensor:
    """The shortest round trips [B, N] from the first city, by Held and Karp's dynamic programming (1962)."""
    batch, n, _ = cities.shape
    away, others = torch.cdist(cities, cities), n - 1
    cost = torch.full((2**others, others, batch), torch.inf)
    before = torch.zeros(2**others, others, batch, dtype=torch.int64)
    for city in range(others):
        cost[1 << city, city] = away[:, 0, city + 1]
    for visited in range(1, 2**others):
        if visited & (visited - 1) == 0:
            continue
        for last in range(others):
            if visited >> last & 1:
                cost[visited, last], before[visited, last] = (cost[visited ^ 1 << last] + away[:, 1:, last + 1].T).min(
                    0
                )
    last = (cost[-1] + away[:, 1:, 0].T).argmin(0)
    visited, rows = torch.full((batch,), 2**others - 1), torch.arange(batch)
    trip = []
    for _ in range(others):
        trip.append(last + 1)
        last, visited = before[visited, last, rows], visited ^ (1 << last)
    trips = torch.stack([torch.zeros_like(last), *reversed(trip)], 1)
    # Of both directions the one whose second city has the lower number, so that there is one answer to learn.
    turned = torch.cat([trips[:, :1], trips[:, 1:].flip(1)], 1)
    return torch.where((trips[:, 1] < trips[:, -1]).unsqueeze(1), trips, turned)


def nearest(cities: Tensor) -> Tensor:
    """Trips [B, N] that go on to the nearest city that has not been visited."""
    away, rows = torch.cdist(cities, cities), torch.arange(len(cities))
    trip = [torch.zeros(len(cities), dtype=torch.int64)]
    for _ in range(cities.shape[1] - 1):
        away = away.scatter(2, trip[-1].reshape(-1, 1, 1).expand(-1, cities.shape[1], 1), torch.inf)
        trip.append(away[rows, trip[-1]].argmin(1))
    return torch.stack(trip, 1)


def train(steps: int, cities: int = CITIES, batch: int = 128) -> PointerNetwork:
    """Train on the best trips of cities drawn at random."""
    torch.manual_seed(1)
    network, drawn = PointerNetwork(), torch.rand(6000, cities, 2)
    trips = best(drawn)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    started = time.perf_counter()
    for step in range(1, steps + 1):
        rows = torch.randint(len(drawn), (batch,))
        # Turned and mirrored plans of the same cities have the same best trips.
        plan = drawn[rows] - 0.5
        plan = torch.where(torch.rand(batch, 1, 1) < 0.5, plan, plan.flip(2))
        plan = plan * torch.randint(2, (batch, 1, 2)).mul(2).sub(1)
        _, scores = network(plan, trips[rows])
        loss = nn.functional.cross_entropy(scores.flatten(0, 1), trips[rows, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == steps:
            print(f"step {step:5}, {time.perf_counter() - started:5.1f} s: loss {float(loss.detach()):.3f}", flush=True)
    return network.eval()


def draw(cities: Tensor, trips: Tensor, names: list[str], path: Path) -> Path:
    """Draw each round trip [N] of the same cities [N, 2] as a map."""
    figure = new_figure(2.5 * len(names), 2.7, layout="constrained")
    for axes, trip, name in zip(figure.subplots(1, len(names)), trips, names, strict=True):
        axes.plot(*cities[torch.cat([trip, trip[:1]])].T, color=COLORS[0], marker="o", markersize=4)
        axes.plot(*cities[0], color=COLORS[1], marker="s")
        axes.set(title=name, xticks=[], yticks=[], aspect="equal")
    path.parent.mkdir(parents=True, exist_ok=True)
    return save(figure, path)


def main(steps: int = 700, pictures: Path = PICTURES) -> Routes:
    network = train(steps)
    cities = torch.rand(500, CITIES, 2, generator=torch.Generator().manual_seed(2))
    shortest, near = best(cities), nearest(cities)
    with torch.inference_mode():
        found, _ = network(cities - 0.5)
    length = lengths(cities, shortest)
    result = Routes(*(float((lengths(cities, trips) / length).mean()) - 1 for trips in (found, near)))
    print(f"500 round trips are {result.pointer:.1%} longer than the best, to the nearest city {result.nearest:.1%}")
    shown = int((lengths(cities, near) / length).argmax())
    trips = torch.stack([found[shown], near[shown], shortest[shown]])
    print(draw(cities[shown], trips, ["pointer network", "to the nearest city", "the best"], pictures / "routing.png"))
    return result


if __name__ == "__main__":
    main(**options(__doc__, main))
