"""Who waits for whom, and whether that ever ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def cycle(needs: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The nodes of one cycle in the order they were given, () when there is none. Unknown nodes are ignored."""
    done: set[str] = set()
    for start in needs:
        found = _from(start, needs, done)
        if found:
            return tuple(node for node in needs if node in found)
    return ()


def _from(start: str, needs: Mapping[str, Sequence[str]], done: set[str]) -> frozenset[str]:
    """Depth first without recursion: a chain may be as long as a flow has tasks."""
    trail: list[str] = []
    stack: list[tuple[str, bool]] = [(start, False)]
    while stack:
        node, leaving = stack.pop()
        if leaving:
            done.add(trail.pop())
        elif node in trail:
            return frozenset(trail[trail.index(node) :])
        elif node in needs and node not in done:
            trail.append(node)
            stack.append((node, True))
            stack.extend((needed, False) for needed in needs[node])
    return frozenset()
