"""
Hierarchical resources: a lock on a node concerns the nodes above and below it (spec 4.6).

A request fits if its mode is compatible with every holder of an ancestor, of the node itself and of a descendant. So
that neither a request nor a release has to walk the tree or the queue, each node knows the modes held below it and, for
each mode, its first waiter: the first, among those at and below the node, that nothing held at or below the node stops.
The first waiter of the root is then the one that fits. A change somewhere is told to the ancestors, one by one.

Every node of a resource is the root or below it: its name begins with the root's, which gives the resource its key.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from flom.core.modes import HeldModes, LockMode
from flom.core.names import HierarchicalName
from flom.core.requests import Instant, LockRequest
from flom.core.resources.base import Holding, Resource
from flom.core.resources.queues import NEVER, Earliest, ModeQueues


class _Node:
    """A node that somebody at or below it holds or waits for."""

    __slots__ = ("below", "children", "children_with_waiters", "held", "level", "parent", "queues")

    def __init__(self, level: str, parent: _Node | None) -> None:
        self.level = level
        self.parent = parent
        self.children: dict[str, _Node] = {}
        self.held = HeldModes()
        self.below = HeldModes()
        self.queues = ModeQueues()
        self.children_with_waiters: dict[LockMode, Earliest[_Node]] = {}

    def first_waiter(self, mode: LockMode) -> float:
        """Tell the arrival number of the first waiter in C{mode} here or below that nothing here or below stops."""
        if not self.held.admits(mode):
            return NEVER
        own = self.queues.arrival_of_head(mode) if self.below.admits(mode) else NEVER
        children = self.children_with_waiters.get(mode)
        first = children.first() if children else None
        return min(own, first[0]) if first else own

    def is_idle(self) -> bool:
        """Tell whether nothing would be lost without this node."""
        return not (self.children or self.held or self.queues)


@dataclass(slots=True, eq=False, kw_only=True)
class _NodeHolding(Holding):
    """
    A holding of a node.

    @ivar node: it.
    """

    node: _Node


class HierarchicalResource(Resource):
    """All nodes below one root; requests queue for the tree."""

    def __init__(self) -> None:
        self._root = _Node("", None)
        self._arrivals = count()
        self._waiting: dict[LockMode, int] = {}  # how many, in each mode that anybody waits in

    def fits(self, request: LockRequest, now: Instant) -> bool:
        mode = request.mode
        node = self._root
        for level in _levels_below_root(request):
            if not node.held.admits(mode):
                return False
            child = node.children.get(level)
            if child is None:
                return True
            node = child
        return node.held.admits(mode) and node.below.admits(mode)

    def take(self, request: LockRequest, now: Instant) -> Holding:
        node = self._node(request)
        mode = request.mode
        node.held.add(mode)
        ancestor = node.parent
        while ancestor is not None:
            ancestor.below.add(mode)
            ancestor = ancestor.parent
        if self._waiting:
            self._tell_ancestors(node)
        return _NodeHolding(request, node=node)

    def give_back(self, holding: Holding, rollback: bool) -> None:
        assert isinstance(holding, _NodeHolding)
        node = holding.node
        mode = holding.request.mode
        node.held.remove(mode)
        ancestor = node.parent
        while ancestor is not None:
            ancestor.below.remove(mode)
            ancestor = ancestor.parent
        if self._waiting:
            self._tell_ancestors(node)
        _prune(node)

    def enqueue(self, request: LockRequest) -> None:
        node = self._node(request)
        node.queues.append(request, next(self._arrivals))
        self._waiting[request.mode] = self._waiting.get(request.mode, 0) + 1
        self._tell_ancestors(node, request.mode)

    def withdraw(self, request: LockRequest) -> None:
        node = self._node(request)
        node.queues.remove(request)
        self._waiting[request.mode] -= 1
        if not self._waiting[request.mode]:
            del self._waiting[request.mode]
        self._tell_ancestors(node, request.mode)
        _prune(node)

    def next_waiter(self, now: Instant) -> LockRequest | None:
        if not self._waiting:
            return None
        firsts = [(self._root.first_waiter(mode), mode) for mode in self._waiting]
        arrival, mode = min(firsts, default=(NEVER, LockMode.NL))
        if arrival == NEVER:
            return None
        node = self._root
        while node.queues.arrival_of_head(mode) != arrival:
            first = node.children_with_waiters[mode].first()
            assert first is not None
            node = first[1]
        return node.queues.head(mode)

    def _node(self, request: LockRequest) -> _Node:
        """Give the node that C{request} names, made if it was not there."""
        node = self._root
        for level in _levels_below_root(request):
            child = node.children.get(level)
            if child is None:
                child = node.children[level] = _Node(level, node)
            node = child
        return node

    def _tell_ancestors(self, node: _Node, *modes: LockMode) -> None:
        """Let the ancestors know who waits first at C{node}, in C{modes} or else in all that anybody waits in."""
        for mode in modes or self._waiting:
            child = node
            for parent in _ancestors(node):
                parent.children_with_waiters.setdefault(mode, Earliest()).set(child, child.first_waiter(mode))
                child = parent


def _levels_below_root(request: LockRequest) -> tuple[str, ...]:
    assert isinstance(request.name, HierarchicalName)
    return request.name.levels[1:]


def _ancestors(node: _Node) -> list[_Node]:
    """Give the nodes above C{node}, from its parent to the root."""
    ancestors = []
    while node.parent is not None:
        node = node.parent
        ancestors.append(node)
    return ancestors


def _prune(node: _Node) -> None:
    """Forget C{node} and the nodes above it as far as nothing would be lost."""
    while node.parent is not None and node.is_idle():
        del node.parent.children[node.level]
        node = node.parent
