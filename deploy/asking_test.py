"""Whether what asks a testbed that is up (expressions.py) notices what is wrong. Needs no testbed: the answers are made up."""

import sys
import unittest

sys.dont_write_bytecode = True

import expressions


class Answers:
    """A Prometheus in which every rule is well and has data, with these alerts."""

    def __init__(self, alerts):
        rules = [{"name": kind, "type": kind, "health": "ok", "query": kind} for kind in ("recording", "alerting")]
        self.answers = {"rules": {"groups": [{"rules": rules}]}, "alerts": {"alerts": alerts}}

    def get(self, path):
        return self.answers[path]

    def has_data(self, *_):
        return True


def alert(state):
    return {"state": state, "labels": {"alertname": "GaltonProcessDown", "instance": "t-001"}}


class Expressions(unittest.TestCase):
    def faults(self, alerts):
        table = expressions.Table()
        expressions.rules(Answers(alerts), table, (0, 1))
        return table.faults

    def test_an_alert_that_fires_is_a_fault(self):
        self.assertEqual(self.faults([alert("pending")]), [])
        self.assertEqual(self.faults([alert("pending"), alert("firing")]), ["firing: GaltonProcessDown t-001"])


if __name__ == "__main__":
    unittest.main()
