"""When cp.async reads and writes, copy by copy."""

import pytest

from .handwritten import run
from .lanes import KernelFault

# %r1: 16 bytes of shared memory for each thread.
START = "mov.u32 %r1, dynamic; mad.lo.s32 %r1, %r0, 16, %r1;"


def copied(body, early, rows=32):
    """Runs the body, which leaves its result in %d1."""
    inputs = [(lane, 100 + lane, 200 + lane, 300 + lane) for lane in range(rows)]
    return run(f"{START} {body} st.global.u64 [%out], %d1;", inputs, early_copies=early)


@pytest.mark.parametrize("early", [False, True])
def test_registers_may_change_before_the_copy_arrives(early):
    body = """
        mov.u32 %r2, 16;
        mov.u32 %r3, %r1;
        cp.async.cg.shared.global [%r3], [%in], 16, %r2;
        add.s32 %r3, %r3, 512;
        add.s64 %in, %in, 16;
        mov.u32 %r2, 0;
        cp.async.commit_group;
        cp.async.wait_group 0;
        ld.shared.u64 %d1, [%r1+8];
    """
    assert copied(body, early) == [100 + lane for lane in range(32)]


@pytest.mark.parametrize("early", [False, True])
def test_waits_count_the_groups_of_each_thread(early):
    """Odd lanes start the first copy and commit once more: waiting for all but one group brings
    their first copy, but brings even lanes nothing."""
    body = """
        and.b32 %r2, %r0, 1;
        setp.eq.u32 %p1, %r2, 1;
        @!%p1 bra $EVEN;
        cp.async.ca.shared.global [%r1], [%in], 8;
        cp.async.commit_group;
    $EVEN:
        cp.async.ca.shared.global [%r1+8], [%in+8], 8;
        cp.async.commit_group;
        cp.async.wait_group 1;
        ld.shared.u64 %d1, [%r1];
        ld.shared.u64 %d2, [%r1+8];
        min.u64 %d1, %d1, %d2;
    """
    poison = 2 ** 64 - 1
    late = [lane if lane % 2 else poison for lane in range(32)]
    at_once = [lane if lane % 2 else 100 + lane for lane in range(32)]
    assert copied(body, early) == (at_once if early else late)


def test_what_is_not_committed_is_not_waited_for():
    body = """
        cp.async.commit_group;
        cp.async.ca.shared.global [%r1], [%in], 8;
        cp.async.wait_group 0;
        ld.shared.u64 %d1, [%r1];
    """
    assert copied(body, early=False) == [2 ** 64 - 1] * 32


def test_a_late_copy_brings_what_its_source_holds_then():
    """A source that is overwritten before the wait shows."""
    body = """
        st.global.u64 [%out], %in;
        cp.async.ca.shared.global [%r1], [%out], 8;
        cp.async.commit_group;
        mov.u64 %d1, 5;
        st.global.u64 [%out], %d1;
        cp.async.wait_group 0;
        ld.shared.u64 %d1, [%r1];
    """
    assert copied(body, early=False) == [5] * 32
    assert 5 not in copied(body, early=True)


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("target, source, present, message", [
    ("%r1+8", "%in", 16, "not a multiple of 16"),
    ("%r1", "%in+8", 16, "not a multiple of 16"),
    ("%r1", "%in+8", 0, "not a multiple of 16"),
    ("%r1+1024", "%in", 16, "16 bytes at 1024 of the 1024 bytes of shared memory"),
    ("%r1+1024", "%in", 0, "16 bytes at 1024 of the 1024 bytes of shared memory"),
    ("%r1", "%in+1024", 16, "16 bytes behind the end of 'in'"),
    ("%r1", "%in", 8, "source size is neither 0 nor 16"),
])
def test_wrong_addresses(early, target, source, present, message):
    body = f"cp.async.cg.shared.global [{target}], [{source}], 16, {present};"
    with pytest.raises(KernelFault, match=rf"cp\.async.*thread 0: .*{message}"):
        copied(body, early)
