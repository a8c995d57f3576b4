"""What scripts that check something share: counting what holds, and waiting for a condition."""

import sys
import time

# Far beyond what anything here takes, also on a loaded machine.
PATIENCE_S = 15


class Checks:
    """Counts what holds; the last line is `N passed, N failed`."""

    def __init__(self):
        self.passed = self.failed = self.gaps = 0

    def check(self, holds, what):
        print(("ok      " if holds else "FAILED  ") + what, flush=True)
        if holds:
            self.passed += 1
        else:
            self.failed += 1
        return bool(holds)

    def known_gap(self, closed, what, why):
        """Something that is known to fail; that it does not any more is news, so it is not known for longer than it is true."""
        if closed:
            return self.check(False, f"{what}: holds, but is listed as a gap")
        self.gaps += 1
        print(f"gap     {what}: {why}", flush=True)
        return False

    def attempt(self, what, check, *args):
        """A check that may raise: text that it returns is said of it, and an exception is its failure."""
        try:
            said = check(*args)
        except Exception as error:  # Any: one check must not keep the others from running.
            return self.check(False, f"{what}: {type(error).__name__}: {error}")
        return self.check(True, f"{what}: {said}" if isinstance(said, str) else what)

    def finish(self):
        if self.gaps:
            print(f"\n{self.gaps} known gaps")
        print(f"\n{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed else 0)


def until(what, condition, patience_s=PATIENCE_S):
    """Waits for a condition, and returns what it then is."""
    deadline = time.monotonic() + patience_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"never came within {patience_s} s: {what}")
        time.sleep(0.002)
