"""Where diverged lanes meet again: an exchange between all lanes of a warp needs them together."""

import pytest

from .handwritten import run
from .lanes import KernelFault

# Adds what the neighbour has; an error unless the whole warp is there.
EXCHANGE = "shfl.sync.bfly.b32 %r8, %r1, 1, 31, -1; add.s32 %r1, %r1, %r8;"


def run_lanes(body):
    """Runs one warp; %r1 is the lane at first, and returned."""
    return [result & 0xFFFFFFFF for result in
            run(f"mov.u32 %r1, %r0; {body} st.global.u32 [%out], %r1;", [()] * 32)]


def pairs(values):
    return [values[lane] + values[lane ^ 1] for lane in range(32)]


def test_both_ways_of_a_branch():
    body = f"""
        setp.lt.u32 %p1, %r1, 7;
        @%p1 bra $SMALL;
        add.s32 %r1, %r1, 100;
        bra.uni $JOIN;
    $SMALL:
        add.s32 %r1, %r1, 1000;
    $JOIN:
        {EXCHANGE}
    """
    assert run_lanes(body) == pairs([lane + (1000 if lane < 7 else 100) for lane in range(32)])


def test_rare_branch_behind_the_end():
    """The block that some lanes take before the join is written behind it."""
    body = f"""
        setp.eq.u32 %p1, %r1, 9;
        @%p1 bra $RARE;
    $JOIN:
        {EXCHANGE}
        bra.uni $DONE;
    $RARE:
        add.s32 %r1, %r1, 1000;
        bra.uni $JOIN;
    $DONE:
    """
    assert run_lanes(body) == pairs([lane + 1000 * (lane == 9) for lane in range(32)])


def test_loop_that_lanes_leave_at_different_times():
    """And whose exit is written before it."""
    body = f"""
        mov.u32 %r2, 0;
        bra.uni $LOOP;
    $LEFT:
        {EXCHANGE}
        bra.uni $DONE;
    $LOOP:
        setp.ge.u32 %p1, %r2, %r0;
        @%p1 bra $LEFT;
        add.s32 %r2, %r2, 3;
        add.s32 %r1, %r1, 10;
        bra.uni $LOOP;
    $DONE:
    """
    assert run_lanes(body) == pairs([lane + 10 * -(-lane // 3) for lane in range(32)])


def continuing_loop(exchange_in_head, exchange_in_tail):
    """Three rounds; odd lanes go back to the head early, from a place that is written before the
    tail, which adds 100."""
    return f"""
        mov.u32 %r2, 0;
        and.b32 %r3, %r0, 1;
        setp.eq.u32 %p1, %r3, 1;
    $HEAD:
        {EXCHANGE if exchange_in_head else ""}
        add.s32 %r2, %r2, 1;
        setp.gt.u32 %p2, %r2, 3;
        @%p2 bra $DONE;
        @%p1 bra $HEAD;
        {EXCHANGE if exchange_in_tail else ""}
        add.s32 %r1, %r1, 100;
        bra.uni $HEAD;
    $DONE:
    """


def test_lanes_that_continue_wait_at_the_end_of_the_loop():
    values = list(range(32))
    for round in range(4):
        values = pairs(values)
        if round < 3:
            values = [value + 100 * (lane % 2 == 0) for lane, value in enumerate(values)]
    assert run_lanes(continuing_loop(True, False)) == values


def test_exchange_that_some_lanes_skip():
    with pytest.raises(KernelFault, match=r"shfl.*block \(0, 0, 0\), warp 0 has diverged: lanes 0, "
                                          "2,.* are here, 1, 3, .* are not"):
        run_lanes(continuing_loop(False, True))


def test_lanes_in_different_rounds_do_not_meet():
    """Each lane comes to the exchange once, in a round of its own."""
    body = f"""
        mov.u32 %r2, 0;
    $LOOP:
        setp.ne.u32 %p1, %r2, %r0;
        @%p1 bra $NEXT;
        {EXCHANGE}
    $NEXT:
        add.s32 %r2, %r2, 1;
        setp.lt.u32 %p2, %r2, 32;
        @%p2 bra $LOOP;
    """
    with pytest.raises(KernelFault, match="diverged: lanes 0 are here, 1-31 are not"):
        run_lanes(body)


def test_nested_loops():
    """Lane l runs the inner loop l % 3 + round times in each of l % 4 + 1 rounds."""
    body = f"""
        and.b32 %r2, %r0, 3;
        rem.u32 %r3, %r0, 3;
    $OUTER:
        mov.u32 %r4, %r3;
    $INNER:
        setp.eq.u32 %p1, %r4, 0;
        @%p1 bra $INNER_DONE;
        add.s32 %r4, %r4, -1;
        add.s32 %r1, %r1, 1000;
        bra.uni $INNER;
    $INNER_DONE:
        add.s32 %r3, %r3, 1;
        setp.eq.u32 %p2, %r2, 0;
        add.s32 %r2, %r2, -1;
        @!%p2 bra $OUTER;
        {EXCHANGE}
    """
    steps = lambda lane: sum(lane % 3 + round for round in range(lane % 4 + 1))
    assert run_lanes(body) == pairs([lane + 1000 * steps(lane) for lane in range(32)])


def test_exit_of_some_lanes():
    body = f"""
        setp.eq.u32 %p1, %r0, 5;
        @%p1 ret;
        bar.sync 0;
    """
    with pytest.raises(KernelFault, match="bar.sync 0: .*lanes 0-4, 6-31 are here, 5 are not"):
        run_lanes(body)
    assert run_lanes("setp.eq.u32 %p1, %r0, 5; st.global.u32 [%out], 7; @%p1 exit;") == [
        7 if lane == 5 else lane for lane in range(32)]


def test_different_barriers():
    body = """
        setp.lt.u32 %p1, %r0, 32;
        @%p1 bra $FIRST;
        bar.sync 0;
        bra.uni $DONE;
    $FIRST:
        bar.sync 0;
    $DONE:
    """
    with pytest.raises(KernelFault, match=r"threads 0-31 wait at line \d+: bar.sync 0, threads "
                                          r"32-63 wait at line \d+: bar.sync 0"):
        run(body, [()] * 64)


@pytest.mark.parametrize("members", ["-1", "%r2"])
def test_members_of_an_exchange(members):
    body = f"mov.u32 %r2, -1; shfl.sync.bfly.b32 %r1|%p1, %r1, %r3, 31, {members};"
    assert run_lanes(f"mov.u32 %r3, 5; {body}") == [lane ^ 5 for lane in range(32)]


def test_part_of_a_warp_as_members():
    with pytest.raises(KernelFault, match="only a whole warp"):
        run_lanes("shfl.sync.bfly.b32 %r1, %r1, 1, 31, 65535;")


def test_segments_of_an_exchange():
    """Lanes read only inside their eight, and only lanes up to the sixth of these."""
    body = """
        shfl.sync.bfly.b32 %r1|%p1, %r1, 3, 0x1805, -1;
        @!%p1 add.s32 %r1, %r1, 1000;
    """
    expected = [lane ^ 3 if (lane ^ 3) % 8 <= 5 else lane + 1000 for lane in range(32)]
    assert run_lanes(body) == expected
