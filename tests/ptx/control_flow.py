"""Basic blocks of a kernel, in an order that brings diverged lanes together again.

Let those lanes run that are in the lowest block of the order: then lanes that part at a branch meet
again at the first block that both ways reach, and go round a loop together, as the hardware's
reconvergence has it. For that, a block comes behind all that lead to it, the blocks of a loop are
contiguous, and lanes that return to the head of a loop from several places first gather in an empty
block at its end.
"""

from dataclasses import dataclass

from .parser import PtxError

EXIT = -1


@dataclass
class BasicBlock:
    """Instructions of which only the last may jump. Lanes whose jump is taken go to the last of the
    successors, others to the first; these are positions in the order, or EXIT."""
    instructions: list
    successors: list


def basic_blocks(entry):
    """The blocks of `entry` in their order; the first is where lanes start."""
    blocks = _split(entry)
    order = _order(blocks, _reachable(blocks))
    position = {block: index for index, block in enumerate(order)} | {EXIT: EXIT}
    return [BasicBlock(blocks[block].instructions, [position[s] for s in blocks[block].successors])
            for block in order]


def jumps(instruction):
    return instruction.parts[0] in ("bra", "ret", "exit")


def is_block_barrier(instruction):
    return instruction.opcode == "bar.sync"


def _split(entry):
    instructions = entry.instructions
    if not instructions or instructions[-1].predicate or not jumps(instructions[-1]):
        raise PtxError(f"{entry.name}: the last instruction does not leave the kernel")
    starts = {0, *entry.labels.values()}
    for index, instruction in enumerate(instructions):
        if jumps(instruction) or is_block_barrier(instruction):
            starts.add(index + 1)
    starts = sorted(starts | {len(instructions)})
    number = {start: index for index, start in enumerate(starts)}
    return [BasicBlock(instructions[start:end], _successors(entry, number, end))
            for start, end in zip(starts, starts[1:])]


def _successors(entry, number, end):
    """Of the block before the instruction `end`. `number`: of a block, by its first instruction."""
    last = entry.instructions[end - 1]
    if not jumps(last):
        return [number[end]]
    taken = EXIT
    if last.parts[0] == "bra":
        if last.operands[0] not in entry.labels:
            raise PtxError(f"{last}: no such label")
        taken = number[entry.labels[last.operands[0]]]
    return [number[end], taken] if last.predicate else [taken]


def _reachable(blocks):
    seen, pending = set(), [0]
    while pending:
        block = pending.pop()
        if block != EXIT and block not in seen:
            seen.add(block)
            pending += blocks[block].successors
    return sorted(seen)


def _order(blocks, members, head=EXIT):
    """The blocks `members` of a loop with this head in order; adds the empty blocks to `blocks`."""
    inside = set(members) - {head}
    edges = {block: [s for s in blocks[block].successors if s in inside] for block in members}
    order = []
    for component in _components(members, edges):
        if len(component) == 1 and component[0] not in edges[component[0]]:
            order += component
            continue
        entered = [s for block in members if block not in component for s in edges[block]]
        loop_head = min(set(entered) & set(component) or component)
        order += _order(blocks, component, loop_head)
        returning = [block for block in component if loop_head in blocks[block].successors]
        if len(returning) > 1:
            gather = len(blocks)
            order.append(gather)
            for block in returning:
                successors = blocks[block].successors
                blocks[block].successors = [gather if s == loop_head else s for s in successors]
            blocks.append(BasicBlock([], [loop_head]))
    return order


def _components(nodes, edges):
    """The strongly connected components, each behind those that lead to it (Kosaraju)."""
    finished = [node for tree in _depth_first(nodes, edges) for node in tree]
    backward = {node: [] for node in nodes}
    for node in nodes:
        for successor in edges[node]:
            backward[successor].append(node)
    return [sorted(tree) for tree in _depth_first(finished[::-1], backward)]


def _depth_first(roots, edges):
    """Trees of a depth-first search, each as a list of its nodes in the order they are finished."""
    seen = set()
    for root in roots:
        if root in seen:
            continue
        seen.add(root)
        tree, stack = [], [(root, iter(edges[root]))]
        while stack:
            node, successors = stack[-1]
            for successor in successors:
                if successor not in seen:
                    seen.add(successor)
                    stack.append((successor, iter(edges[successor])))
                    break
            else:
                stack.pop()
                tree.append(node)
        yield tree
