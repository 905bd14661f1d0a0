"""A rotating forest: extremely randomised trees (Geurts, Ernst and Wehenkel 2006) over a bounded sample of outcomes, one regrown after the other."""

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .packing import pack, unpack

TRIED = 0.7


class Tree:
    """One tree in flat arrays: a node asks whether x[feature] < cut, its children lie side by side from `child`; a leaf is feature -1, its value in `cut`."""

    __slots__ = ("child", "cut", "feature")

    def __init__(self, feature: Sequence[int], cut: Sequence[float], child: Sequence[int]) -> None:
        self.feature = array("b", feature)
        self.cut = array("f", cut)
        self.child = array("h", child)

    def predict(self, x: Sequence[float]) -> float:
        """The value of the leaf that x falls into."""
        feature, cut, child = self.feature, self.cut, self.child
        node, asked = 0, feature[0]
        while asked >= 0:
            node = child[node] + (x[asked] >= cut[node])
            asked = feature[node]
        return cut[node]

    def rename(self, columns: Sequence[int]) -> None:
        """Turn the numbers of the columns that it was grown on into those of x."""
        self.feature = array("b", (columns[place] if place >= 0 else place for place in self.feature))

    def snapshot(self) -> list[str]:
        """The state as plain values."""
        return [pack(np.array(self.feature), "<i1"), pack(np.array(self.cut), "<f4"), pack(np.array(self.child), "<i2")]

    @classmethod
    def restore(cls, state: list[str]) -> "Tree":
        """The tree that left this snapshot."""
        return cls(*(unpack(text, kind).tolist() for text, kind in zip(state, ("<i1", "<f4", "<i2"), strict=True)))


class RotatingForest:
    """Trees for one or several targets over one sample of outcomes; after every `every` outcomes one tree of each target is grown anew.

    The sample keeps `capacity` outcomes; a new one takes the place of any (a biased reservoir, Aggarwal 2006): the more recent weigh more, and what a
    calm week taught is still there after a busy day. A tree is grown on at most `sample` of them; a node tries a uniform cut on each of 7 of 10
    features and takes the one that explains most weighted variance; a leaf's value is the weighted median. `columns` names the features of each target.
    Features and weights are kept with half precision, targets with single, which is finer than the cuts.

    >>> forest = RotatingForest(1)
    >>> for number in range(64):
    ...     forest.learn([number % 2], [3.0 * (number % 2)])
    >>> forest.predict([0.0]), forest.predict([1.0])
    (0.0, 3.0)
    """

    def __init__(
        self,
        inputs: int,
        targets: int = 1,
        *,
        trees: int = 12,
        capacity: int = 1024,
        sample: int = 512,
        leaf: int = 8,
        every: int = 96,
        first: int = 32,
        depth: int = 12,
        columns: Sequence[Sequence[int]] | None = None,
        seed: int = 1,
    ) -> None:
        self.inputs, self.targets, self.size = inputs, targets, trees
        self._columns = [np.array(own) for own in columns] if columns is not None else [np.arange(inputs)] * targets
        self.capacity, self.sample, self.leaf, self.every, self.first, self.depth = capacity, sample, leaf, every, first, depth
        self._dice = np.random.Generator(np.random.PCG64(seed))
        self._x: NDArray[np.float16] = np.empty((0, inputs), np.float16)
        self._y: NDArray[np.float32] = np.empty((0, targets), np.float32)
        self._w: NDArray[np.float16] = np.empty((0, targets), np.float16)
        self._trees: list[list[Tree]] = [[] for _ in range(targets)]
        self.learned = 0
        self._grown = 0

    @property
    def is_ready(self) -> bool:
        """Whether there is a tree to ask."""
        return bool(self._trees[0])

    def predict(self, x: Sequence[float], target: int = 0) -> float:
        """The mean of the trees; 0 while there is none."""
        trees = self._trees[target]
        total = 0.0
        for tree in trees:
            total += tree.predict(x)
        return total / len(trees) if trees else 0.0

    def learn(self, x: Sequence[float] | NDArray[np.float16], y: Sequence[float], weight: Sequence[float] | None = None) -> None:
        """An outcome: a value and a weight per target; a weight of 0 says that a target is not known."""
        weights = [1.0] * self.targets if weight is None else [max(min(one, 6e4), 0.0) for one in weight]
        if len(self._x) < self.capacity:
            self._x = np.concatenate([self._x, np.asarray(x, np.float16)[None]])
            self._y = np.concatenate([self._y, np.asarray(y, np.float32)[None]])
            self._w = np.concatenate([self._w, np.asarray(weights, np.float16)[None]])
        else:
            place = int(self._dice.integers(self.capacity))
            self._x[place], self._y[place], self._w[place] = x, y, weights
        self.learned += 1
        every = self.every if len(self._trees[0]) >= self.size else max(4, self.every // 4)
        if self.learned >= self.first and (self.learned - self.first) % every == 0:
            self._rotate()

    def _rotate(self) -> None:
        for target, trees in enumerate(self._trees):
            tree = self._grow(target)
            if len(trees) < self.size:
                trees.append(tree)
            else:
                trees[self._grown % self.size] = tree
        self._grown += 1

    def _grow(self, target: int) -> Tree:
        chosen = self._dice.permutation(np.flatnonzero(self._w[:, target] > 0.0))[: self.sample]
        if not len(chosen):
            return Tree([-1], [0.0], [0])
        x, y, w = self._x[chosen].astype(np.float32), self._y[chosen, target].astype(np.float64), self._w[chosen, target].astype(np.float64)
        tree = _Growth(x[:, self._columns[target]], y, w, self.leaf, self.depth).grow(self._dice)
        tree.rename(self._columns[target].tolist())
        return tree

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values."""
        dice = self._dice.bit_generator.state
        return {
            "dice": [str(dice["state"]["state"]), str(dice["state"]["inc"]), dice["has_uint32"], dice["uinteger"]],
            "ring": [pack(self._x, "<f2"), pack(self._y, "<f4"), pack(self._w, "<f2")],
            "trees": [[tree.snapshot() for tree in trees] for trees in self._trees],
            "counts": [self.learned, self._grown],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the state of a snapshot, in a forest of the same settings."""
        number, increment, has_uint32, uinteger = state["dice"]
        inner = {"state": int(number), "inc": int(increment)}
        self._dice.bit_generator.state = {"bit_generator": "PCG64", "state": inner, "has_uint32": has_uint32, "uinteger": uinteger}
        x, y, w = state["ring"]
        self._x = unpack(x, "<f2").reshape(-1, self.inputs)
        self._y, self._w = unpack(y, "<f4").reshape(-1, self.targets), unpack(w, "<f2").reshape(-1, self.targets)
        self._trees = [[Tree.restore(tree) for tree in trees] for trees in state["trees"]]
        self.learned, self._grown = state["counts"]


class _Growth:
    """One tree being grown, all nodes of a level at once; the rows of a node lie side by side, so that sums over nodes are `reduceat`."""

    __slots__ = ("child", "cut", "depth", "feature", "leaf", "tried", "w", "x", "y")

    def __init__(self, x: NDArray[np.float32], y: NDArray[np.float64], w: NDArray[np.float64], leaf: int, depth: int) -> None:
        by_value = np.argsort(y, kind="stable")  # kept in every split: the rows of each leaf come ordered, ready for its median
        self.x, self.y, self.w = x[by_value], y[by_value], w[by_value]
        self.tried, self.leaf, self.depth = max(1, round(TRIED * x.shape[1])), leaf, depth
        self.feature, self.cut, self.child = [-1], [0.0], [0]

    def grow(self, dice: np.random.Generator) -> Tree:
        rows = np.arange(len(self.y))
        nodes, starts = [0], np.zeros(1, np.int64)
        for _ in range(self.depth):
            rows, nodes, starts = self._level(dice, rows, nodes, starts)
            if not nodes:
                break
        else:
            self._close(rows, nodes, starts)
        return Tree(self.feature, self.cut, self.child)

    def _level(
        self, dice: np.random.Generator, rows: NDArray[np.int64], nodes: list[int], starts: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], list[int], NDArray[np.int64]]:
        sizes = np.diff(starts, append=len(rows))
        tried = dice.random((len(nodes), self.x.shape[1])).argsort(axis=1, kind="stable")[:, : self.tried]
        uniform = dice.random((len(nodes), self.tried))
        owner = np.repeat(np.arange(len(nodes)), sizes)
        values = self.x[rows[:, None], tried[owner]]
        low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
        cuts = (low + uniform * (high - low)).astype(np.float32)
        left = values < cuts[owner]
        best, gain = self._best(rows, starts, sizes, owner, left)
        splits = (gain > 0.0) & (sizes >= 2 * self.leaf)
        stays = ~splits
        if stays.any():
            kept = stays[owner]
            self._close(rows[kept], [node for node, stay in zip(nodes, stays, strict=True) if stay], _starts(sizes[stays]))
        going = splits[owner]
        side = left[np.arange(len(rows)), best[owner]]
        order = np.argsort(2 * owner[going] + ~side[going], kind="stable")
        counts = np.add.reduceat(left.astype(np.int64), starts)[np.arange(len(nodes)), best]
        children: list[int] = []
        for place in np.flatnonzero(splits).tolist():
            node, first = nodes[place], len(self.feature)
            self.feature[node], self.cut[node], self.child[node] = int(tried[place, best[place]]), float(cuts[place, best[place]]), first
            self.feature += [-1, -1]
            self.cut += [0.0, 0.0]
            self.child += [0, 0]
            children += [first, first + 1]
        new_sizes = np.stack([counts[splits], (sizes - counts)[splits]], axis=1).ravel()
        return rows[going][order], children, _starts(new_sizes)

    def _best(
        self, rows: NDArray[np.int64], starts: NDArray[np.int64], sizes: NDArray[np.int64], owner: NDArray[np.int64], left: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The feature of each node whose cut leaves least weighted variance, and what it gains."""
        w, y = self.w[rows], self.y[rows]
        total = np.add.reduceat(w, starts)
        mean = np.add.reduceat(w * y, starts) / total
        weights = np.add.reduceat(left * w[:, None], starts)
        sums = np.add.reduceat(left * (w * (y - mean[owner]))[:, None], starts)
        counts = np.add.reduceat(left.astype(np.int64), starts)
        allowed = (counts >= self.leaf) & (sizes[:, None] - counts >= self.leaf)
        gain = np.where(allowed, sums * sums / np.maximum(weights, 1e-12) + sums * sums / np.maximum(total[:, None] - weights, 1e-12), 0.0)
        best = gain.argmax(axis=1)
        return best, gain[np.arange(len(best)), best]

    def _close(self, rows: NDArray[np.int64], nodes: list[int], starts: NDArray[np.int64]) -> None:
        """Make leaves of these nodes: the weighted medians of their rows, which are in rising order."""
        weights = np.cumsum(self.w[rows])
        ends = np.append(starts[1:], len(rows))
        for node, start, end in zip(nodes, starts.tolist(), ends.tolist(), strict=True):
            before = float(weights[start - 1]) if start else 0.0
            middle = 0.5 * (before + float(weights[end - 1]))
            place = min(int(np.searchsorted(weights[start:end], middle)) + start, end - 1)
            self.cut[node] = float(self.y[rows[place]])


def _starts(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.cumsum(sizes) - sizes
