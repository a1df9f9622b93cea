import os
import signal
import threading

import pytest

from src.head.signals import uninterrupted


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_waits_for_the_end_of_the_block():
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        interrupt()
        done.append(1)
    assert done == [1]
    with pytest.raises(KeyboardInterrupt):
        interrupt()


def test_a_second_one_does_not_wait():
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        interrupt()
        done.append(1)
        interrupt()
        done.append(2)
    assert done == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_callers_own_handler_is_called(number):
    called = []
    before = signal.signal(number, lambda number, _: called.append(number))
    try:
        with uninterrupted():
            os.kill(os.getpid(), number)
            assert called == []
        assert called == [number]
    finally:
        signal.signal(number, before)


def test_an_error_in_the_block_is_the_context_of_the_interrupt():
    with pytest.raises(KeyboardInterrupt) as caught, uninterrupted():
        interrupt()
        raise ValueError
    assert isinstance(caught.value.__context__, ValueError)


def test_other_threads_leave_handlers_alone():
    seen = []

    def work() -> None:
        with uninterrupted():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
