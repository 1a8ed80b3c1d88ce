"""
Hierarchical resources: a lock on a node concerns the nodes above and below it
(docs/compatibility.md, "Hierarchical resources").

A request fits if its mode is compatible with every holder of an ancestor, of the node itself and of a descendant. So
that neither a request nor a release has to walk the tree or the queue, each node knows the modes held below it and, for
each mode, its first waiter: the first, among those at and below the node, that no holder at or below the node blocks.
The first waiter of the root is then the one that fits. A change of a node is passed on to its ancestors, one by one.

A name of few bytes makes a hundred nodes, most of which have one child and nothing else. So a node has only what it
needs: its holders are counted in two numbers, and everything else is made at its first use, and goes with the last.

Every node of a resource is the root or below it: its name begins with the root's, which gives the resource its key.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from flom.core.effects import Instant
from flom.core.locks.resources.base import Holding, Resource
from flom.core.locks.resources.queues import NEVER, Earliest, ModeQueues
from flom.core.modes import IN_THE_WAY, ONE_HOLDER, LockMode
from flom.core.names import HierarchicalName
from flom.core.requests import LockRequest


class _Node:
    """
    A node that is held or waited for, itself or a node below it.

    @ivar held: counts its holders (L{ONE_HOLDER}).
    @ivar below: counts the holders of the nodes below it.
    @ivar queues: C{None} if it has no waiter.
    @ivar first_waiters: the children that have a L{first_waiter}, by mode; C{None} if there are none.
    """

    __slots__ = ("_children", "below", "first_waiters", "held", "level", "parent", "queues")

    def __init__(self, level: str, parent: _Node | None) -> None:
        self.level = level
        self.parent = parent
        self._children: dict[str, _Node] | _Node | None = None  # a dict only if there are two or more
        self.held = 0
        self.below = 0
        self.queues: ModeQueues | None = None
        self.first_waiters: dict[LockMode, Earliest[_Node]] | None = None

    def child(self, level: str) -> _Node | None:
        """Return the child at C{level}; C{None} if there is none."""
        children = self._children
        if isinstance(children, dict):
            return children.get(level)
        return children if children is not None and children.level == level else None

    def add_child(self, level: str) -> _Node:
        """Make the child at C{level}, where there is none."""
        child = _Node(level, self)
        children = self._children
        if isinstance(children, dict):
            children[level] = child
        elif children is None:
            self._children = child
        else:
            self._children = {children.level: children, level: child}
        return child

    def remove_child(self, level: str) -> None:
        """Forget the child at C{level}."""
        children = self._children
        if isinstance(children, dict):
            del children[level]
            if len(children) == 1:
                [self._children] = children.values()
        else:
            self._children = None

    def first_waiter(self, mode: LockMode) -> float:
        """Return the arrival number of the first waiter in C{mode} here or below that none here or below blocks."""
        in_the_way = IN_THE_WAY[mode]
        if self.held & in_the_way:
            return NEVER
        queues, first_waiters = self.queues, self.first_waiters
        own = NEVER if queues is None or self.below & in_the_way else queues.arrival_of_head(mode)
        children = None if first_waiters is None else first_waiters.get(mode)
        first = None if children is None else children.first()
        return own if first is None else min(own, first[0])

    def note_first_waiter(self, mode: LockMode, child: _Node) -> None:
        """Learn the first waiter in C{mode} of C{child}."""
        arrival = child.first_waiter(mode)
        first_waiters = self.first_waiters
        children = None if first_waiters is None else first_waiters.get(mode)
        if children is None:
            if arrival == NEVER:
                return
            children = Earliest()
            if first_waiters is None:
                first_waiters = self.first_waiters = {}
            first_waiters[mode] = children
        children.set(child, arrival)
        if not children:
            assert first_waiters is not None
            del first_waiters[mode]
            if not first_waiters:
                self.first_waiters = None

    def is_idle(self) -> bool:
        """Return whether nothing would be lost without this node."""
        return self._children is None and not self.held and self.queues is None


@dataclass(slots=True, eq=False, kw_only=True)
class _NodeHolding(Holding):
    """A holding of C{node}."""

    node: _Node


class HierarchicalResource(Resource):
    """All nodes below one root; requests queue for the tree."""

    def __init__(self) -> None:
        self._root = _Node("", None)
        self._arrivals = count()
        self._waiting: dict[LockMode, int] = {}  # how many, in each mode that has waiters

    def fits(self, request: LockRequest, now: Instant) -> bool:
        in_the_way = IN_THE_WAY[request.mode]
        node = self._root
        for level in _levels_below_root(request):
            if node.held & in_the_way:
                return False
            child = node.child(level)
            if child is None:
                return True
            node = child
        return not (node.held | node.below) & in_the_way

    def take(self, request: LockRequest, now: Instant) -> Holding:
        node = self._node(request)
        self._count(node, ONE_HOLDER[request.mode])
        return _NodeHolding(request, node=node)

    def release(self, holding: Holding, rollback: bool) -> None:
        assert isinstance(holding, _NodeHolding)
        self._count(holding.node, -ONE_HOLDER[holding.request.mode])
        _prune(holding.node)

    def enqueue(self, request: LockRequest) -> None:
        node = self._node(request)
        if node.queues is None:
            node.queues = ModeQueues()
        node.queues.append(request, next(self._arrivals))
        self._waiting[request.mode] = self._waiting.get(request.mode, 0) + 1
        _tell_ancestors(node, request.mode)

    def withdraw(self, request: LockRequest) -> None:
        node = self._node(request)
        assert node.queues is not None
        node.queues.remove(request)
        if not node.queues:
            node.queues = None
        self._waiting[request.mode] -= 1
        if not self._waiting[request.mode]:
            del self._waiting[request.mode]
        _tell_ancestors(node, request.mode)
        _prune(node)

    def next_waiter(self, now: Instant) -> LockRequest | None:
        if not self._waiting:
            return None
        firsts = [(self._root.first_waiter(mode), mode) for mode in self._waiting]
        arrival, mode = min(firsts, default=(NEVER, LockMode.NL))
        if arrival == NEVER:
            return None
        node = self._root
        while node.queues is None or node.queues.arrival_of_head(mode) != arrival:
            assert node.first_waiters is not None
            first = node.first_waiters[mode].first()
            assert first is not None
            node = first[1]
        return node.queues.head(mode)

    def _node(self, request: LockRequest) -> _Node:
        """Return the node that C{request} names; make it if it is not there."""
        node = self._root
        for level in _levels_below_root(request):
            node = node.child(level) or node.add_child(level)
        return node

    def _count(self, node: _Node, change: int) -> None:
        """Add C{change} to the holders of C{node}, and update the first waiters of its ancestors."""
        before = node.held
        after = node.held = before + change
        ancestor = node.parent
        while ancestor is not None:
            ancestor.below += change
            ancestor = ancestor.parent
        # only the first incompatible holder of a node, and the departure of the last one, can change which waiter
        # comes first; others change nothing for the ancestors
        for mode in self._waiting:
            in_the_way = IN_THE_WAY[mode]
            if (before & in_the_way == 0) != (after & in_the_way == 0):
                _tell_ancestors(node, mode)


def _levels_below_root(request: LockRequest) -> tuple[str, ...]:
    assert isinstance(request.name, HierarchicalName)
    return request.name.levels[1:]


def _tell_ancestors(node: _Node, mode: LockMode) -> None:
    """Update the first waiter in C{mode} of all ancestors of C{node}, where something changed."""
    parent = node.parent
    while parent is not None:
        if node.queues is not None or node.first_waiters is not None or parent.first_waiters is not None:
            parent.note_first_waiter(mode, node)  # else there is none, nor was there
        node, parent = parent, parent.parent


def _prune(node: _Node) -> None:
    """Forget C{node} and the nodes above it as far as nothing would be lost."""
    while node.parent is not None and node.is_idle():
        node.parent.remove_child(node.level)
        node = node.parent
