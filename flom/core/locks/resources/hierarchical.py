"""
Hierarchical resources: a lock on a node concerns the nodes above and below it
(docs/compatibility.md, "Hierarchical resources").

A request fits if its mode is compatible with every holder of an ancestor, of the node itself and of a descendant. So
that neither a request nor a release has to walk the tree or the queue, each node knows the modes held below it and, for
each mode, its first waiter: the first, among those at and below the node, that no holder at or below the node blocks.
The first waiter of the root is then the one that fits. A change of a node is passed on to its ancestors, one by one.
Conversions that wait are found in the same way, and those of one pair of modes are one kind of waiters (L{MODE_OF}).

A name of few bytes makes a hundred nodes, most of which have one child and nothing else. So a node has only what it
needs: its holders are counted in two numbers, and everything else is made at its first use, and goes with the last.

Every node of a resource is the root or below it: its name begins with the root's, which gives the resource its key.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, count

from flom.core.effects import Instant
from flom.core.locks.resources.base import Holding
from flom.core.locks.resources.conversion import (
    CONVERSIONS,
    FREE,
    OWN,
    STOPS,
    Conversion,
    ConvertibleResource,
    find_circle,
)
from flom.core.locks.resources.queues import NEVER, Earliest, KindQueues
from flom.core.modes import IN_THE_WAY, ONE_HOLDER, LockMode
from flom.core.names import HierarchicalName
from flom.core.requests import LockRequest


class _Node:
    """
    A node that is held or waited for, itself or a node below it.

    @ivar held: counts its holders (L{ONE_HOLDER}).
    @ivar below: counts the holders of the nodes below it.
    @ivar wanted: counts what conversions that wait here ask for; C{wanted_below}, those of the nodes below it.
    @ivar queues: C{None} if it has no waiter.
    @ivar first_waiters: the children that have a L{first_waiter}, by kind; C{None} if there are none.
    """

    __slots__ = ("_children", "below", "first_waiters", "held", "level", "parent", "queues", "wanted", "wanted_below")

    def __init__(self, level: str, parent: _Node | None) -> None:
        self.level = level
        self.parent = parent
        self._children: dict[str, _Node] | _Node | None = None  # a dict only if there are two or more
        self.held = 0
        self.below = 0
        self.wanted = 0
        self.wanted_below = 0
        self.queues: KindQueues[LockRequest | Conversion] | None = None
        self.first_waiters: dict[int, Earliest[_Node]] | None = None

    def child(self, level: str) -> _Node | None:
        """Return the child at C{level}; C{None} if there is none."""
        children = self._children
        if isinstance(children, dict):
            return children.get(level)
        return children if children is not None and children.level == level else None

    def children(self) -> Collection[_Node]:
        """Return all children."""
        children = self._children
        if isinstance(children, dict):
            return children.values()
        return () if children is None else (children,)

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

    def first_waiter(self, kind: int) -> float:
        """Return the arrival number of the first waiter of C{kind} here or below that none here or below blocks."""
        in_the_way, held, below = STOPS[kind], self.held, self.below
        if FREE <= kind < CONVERSIONS:
            held |= self.wanted
            below |= self.wanted_below
        own, queues, first_waiters = NEVER, self.queues, self.first_waiters
        if queues is not None and not below & in_the_way and (arrival := queues.arrival_of_head(kind)) != NEVER:
            own = NEVER if (held - OWN[kind]) & in_the_way else arrival
        if held & in_the_way:
            return own
        children = None if first_waiters is None else first_waiters.get(kind)
        first = None if children is None else children.first()
        return own if first is None else min(own, first[0])

    def note_first_waiter(self, kind: int, child: _Node) -> None:
        """Learn the first waiter of C{kind} of C{child}."""
        arrival = child.first_waiter(kind)
        first_waiters = self.first_waiters
        children = None if first_waiters is None else first_waiters.get(kind)
        if children is None:
            if arrival == NEVER:
                return
            children = Earliest()
            if first_waiters is None:
                first_waiters = self.first_waiters = {}
            first_waiters[kind] = children
        children.set(child, arrival)
        if not children:
            assert first_waiters is not None
            del first_waiters[kind]
            if not first_waiters:
                self.first_waiters = None

    def is_idle(self) -> bool:
        """Return whether nothing would be lost without this node."""
        return self._children is None and not self.held and self.queues is None


@dataclass(slots=True, eq=False, kw_only=True)
class _NodeHolding(Holding):
    """A holding of C{node}."""

    node: _Node


class HierarchicalResource(ConvertibleResource):
    """All nodes below one root; requests queue for the tree."""

    def __init__(self) -> None:
        super().__init__()
        self._root = _Node("", None)
        self._arrivals = count()
        self._requests: dict[int, int] = {}  # how many wait, of each kind that has waiters
        self._conversions: dict[int, int] = {}  # likewise

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
        self._add(self._node(request), request, self._kind(request), self._requests)

    def withdraw(self, request: LockRequest) -> None:
        self._remove(self._node(request), request, self._kind(request), self._requests)

    def next_waiter(self, now: Instant) -> LockRequest | None:
        first = self._first(self._requests) if self._requests else None
        assert first is None or isinstance(first, LockRequest)
        return first

    def admits_beside(self, holding: Holding, mode: LockMode) -> bool:
        assert isinstance(holding, _NodeHolding)
        in_the_way, node = IN_THE_WAY[mode], holding.node
        if (node.held - ONE_HOLDER[holding.request.mode] | node.below) & in_the_way:
            return False
        return not any(above.held & in_the_way for above in _ancestors(node))

    def change(self, holding: Holding, mode: LockMode) -> None:
        assert isinstance(holding, _NodeHolding)
        self._count(holding.node, ONE_HOLDER[mode] - ONE_HOLDER[holding.request.mode])

    def is_barred(self, request: LockRequest) -> bool:
        in_the_way = IN_THE_WAY[request.mode]
        node = self._root
        for level in _levels_below_root(request):
            if node.wanted & in_the_way:
                return True
            child = node.child(level)
            if child is None:
                return False
            node = child
        return bool((node.wanted | node.wanted_below) & in_the_way)

    def _circle(self, holding: Holding, mode: LockMode) -> list[Conversion]:
        assert isinstance(holding, _NodeHolding)
        found = find_circle(holding.node, holding.request.mode, mode, _conversions_related_to, _are_related)
        heads = (node.queues.head(kind) for node, kind in found if node.queues is not None)
        return [one for one in heads if isinstance(one, Conversion)]

    def next_conversion(self) -> Conversion | None:
        first = self._first(self._conversions) if self._conversions else None
        assert first is None or isinstance(first, Conversion)
        return first

    def _enqueue_conversion(self, conversion: Conversion) -> None:
        node = self._node(conversion.holding.request)
        self._want(node, ONE_HOLDER[conversion.mode])
        self._add(node, conversion, conversion.kind, self._conversions)

    def _withdraw_conversion(self, conversion: Conversion) -> None:
        node = self._node(conversion.holding.request)
        self._want(node, -ONE_HOLDER[conversion.mode])
        self._remove(node, conversion, conversion.kind, self._conversions)

    def _add(self, node: _Node, waiter: LockRequest | Conversion, kind: int, waiting: dict[int, int]) -> None:
        if node.queues is None:
            node.queues = KindQueues()
        node.queues.append(waiter, kind, next(self._arrivals))
        waiting[kind] = waiting.get(kind, 0) + 1
        _tell_ancestors(node, kind)

    def _remove(self, node: _Node, waiter: LockRequest | Conversion, kind: int, waiting: dict[int, int]) -> None:
        assert node.queues is not None
        node.queues.remove(waiter, kind)
        if not node.queues:
            node.queues = None
        waiting[kind] -= 1
        if not waiting[kind]:
            del waiting[kind]
        _tell_ancestors(node, kind)
        _prune(node)

    def _first(self, waiting: dict[int, int]) -> LockRequest | Conversion | None:
        """Find the first waiter that fits, of the kinds in C{waiting}."""
        arrival, kind = min((self._root.first_waiter(kind), kind) for kind in waiting)
        if arrival == NEVER:
            return None
        node = self._root
        while node.queues is None or node.queues.arrival_of_head(kind) != arrival:
            assert node.first_waiters is not None
            first = node.first_waiters[kind].first()
            assert first is not None
            node = first[1]
        return node.queues.head(kind)

    def is_in_the_way(self, holding: Holding) -> bool:
        """
        See L{Resource.is_in_the_way}. This looks at the nodes above, and below until it finds a waiter: at many, only
        if many are held below and what waits in a mode that is incompatible waits elsewhere.
        """
        held = ONE_HOLDER[holding.request.mode]
        if not any(held & STOPS[kind] for kind in self._requests):
            return False
        node = self._root
        for level in _levels_below_root(holding.request):
            if node.queues is not None and _has_stopped(node.queues, held):
                return True
            child = node.child(level)
            if child is None:
                return False
            node = child
        at_or_below = [node]
        while at_or_below:
            node = at_or_below.pop()
            if node.queues is not None and _has_stopped(node.queues, held):
                return True
            at_or_below.extend(node.children())
        return False

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
        for kind in self._requests:
            in_the_way = STOPS[kind]
            if (before & in_the_way == 0) != (after & in_the_way == 0):
                _tell_ancestors(node, kind)
        for kind in self._conversions:
            in_the_way, own = STOPS[kind], OWN[kind]  # a conversion here is one of the holders
            is_first_or_last = (before & in_the_way == 0) != (after & in_the_way == 0)
            if is_first_or_last or ((before - own) & in_the_way == 0) != ((after - own) & in_the_way == 0):
                _tell_ancestors(node, kind)

    def _want(self, node: _Node, change: int) -> None:
        """Add C{change} to what conversions at C{node} ask for, which stops waiters that are held back."""
        before = node.wanted
        after = node.wanted = before + change
        for ancestor in _ancestors(node):
            ancestor.wanted_below += change
        for kind in self._requests:
            in_the_way = STOPS[kind]
            if kind >= FREE and (before & in_the_way == 0) != (after & in_the_way == 0):
                _tell_ancestors(node, kind)


def _levels_below_root(request: LockRequest) -> tuple[str, ...]:
    assert isinstance(request.name, HierarchicalName)
    return request.name.levels[1:]


def _ancestors(node: _Node) -> Iterator[_Node]:
    """Yield the nodes above C{node}."""
    parent = node.parent
    while parent is not None:
        yield parent
        parent = parent.parent


def _are_related(one: _Node, other: _Node) -> bool:
    """Return whether one of both is the other, or above it."""
    return one is other or one in _ancestors(other) or other in _ancestors(one)


def _conversions_related_to(node: _Node) -> Iterator[tuple[_Node, int]]:
    """Yield the nodes at, above and below C{node} where conversions wait, with their kinds."""
    for one in chain(_ancestors(node), _converted_from(node)):
        for kind in one.queues or ():
            if kind >= CONVERSIONS:
                yield one, kind


def _converted_from(node: _Node) -> Iterable[_Node]:
    """Yield C{node}, and the nodes below it that lead to conversions which wait."""
    nodes = [node]
    for one in nodes:  # it grows meanwhile
        yield one
        if one.wanted_below:
            nodes.extend(child for child in one.children() if child.wanted or child.wanted_below)


def _has_stopped(queues: KindQueues[LockRequest | Conversion], held: int) -> bool:
    """Return whether a request waits in C{queues} that one of C{held}, a packed count of holders, stops."""
    return any(kind < CONVERSIONS and held & STOPS[kind] for kind in queues)


def _tell_ancestors(node: _Node, kind: int) -> None:
    """Update the first waiter of C{kind} of all ancestors of C{node}, where something changed."""
    parent = node.parent
    while parent is not None:
        if node.queues is not None or node.first_waiters is not None or parent.first_waiters is not None:
            parent.note_first_waiter(kind, node)  # else there is none, nor was there
        node, parent = parent, parent.parent


def _prune(node: _Node) -> None:
    """Forget C{node} and the nodes above it as far as nothing would be lost."""
    while node.parent is not None and node.is_idle():
        node.parent.remove_child(node.level)
        node = node.parent
