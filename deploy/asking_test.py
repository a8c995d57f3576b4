"""Whether what asks a testbed that is up (expressions.py, verify.py) notices what is wrong. Needs no testbed: the answers are made
up."""

import contextlib
import io
import sys
import types
import unittest
from pathlib import Path
from unittest import mock

sys.dont_write_bytecode = True

import expressions
import verify


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


def group(instance, address):
    return {"targets": [address], "labels": {"role": instance.split("-")[0], "instance": instance}}


def scraped(instance, address, health="up"):
    return {"labels": {"instance": instance}, "discoveredLabels": {"__address__": address}, "health": health}


class Testbed:
    """A front door before two proxies, of which it gives each in turn a request, unless `all_to` one; the load generator sends some to
    each meanwhile."""

    def __init__(self, all_to=None, swallows=None):
        self.all_to, self.swallows, self.sent = all_to, swallows, 0
        self.passed, self.received = {"0": 5, "1": 5}, {"0": 500, "1": 500}
        self.groups = [group("scaler", "s:1"), group("proxy-0", "p:1"), group("t-001", "t:1")]
        self.active = [scraped("scaler", "s:1"), scraped("proxy-0", "p:1"), scraped("t-001", "t:1")]
        self.active += [scraped(instance, address) for instance, address in verify.ALWAYS.items()]

    def get(self, url):
        answers = {"/v1/hosts": [{"host": 0}, {"host": 1}], "/v1/prometheus": self.groups,
                   "/api/v1/targets": {"data": {"activeTargets": self.active}}}
        return next(answer for path, answer in answers.items() if path in url)

    def query(self, _, expression):
        counts = self.passed if verify.PASSED in expression else self.received
        return [{"metric": {"proxy": proxy}, "value": [0, str(count)]} for proxy, count in counts.items()]

    def connection(self, *_, **__):
        proxy = self.all_to or str(self.sent % 2)
        self.sent += 1
        self.passed[proxy] += 1
        for one in self.received:
            self.received[one] += 0.1 + (one == proxy and proxy != self.swallows)
        answer = types.SimpleNamespace(status=200, read=lambda: b"", headers={"galton-target": f"t-00{self.sent % 3}"})
        return mock.Mock(getresponse=lambda: answer)

    def says(self, command):
        """What the command ends with, if it is not content."""
        args = types.SimpleNamespace(front="http://f", scaler="http://s", prometheus="http://p")
        patched = mock.patch.multiple(verify, get=self.get, query=self.query, SCRAPED_WITHIN_S=0)
        with patched, mock.patch("http.client.HTTPConnection", self.connection), contextlib.redirect_stdout(io.StringIO()):
            try:
                command(args)
            except SystemExit as end:
                return end.code


class Verify(unittest.TestCase):
    def test_balanced_needs_every_proxy(self):
        self.assertIsNone(Testbed().says(verify.balanced))
        self.assertIn("too little on to proxies ['0']", Testbed(all_to="1").says(verify.balanced))
        self.assertIn("received by proxies ['1']", Testbed(swallows="1").says(verify.balanced))

    def test_discovered_is_all_and_nothing_else(self):
        self.assertIsNone(Testbed().says(verify.discovered))
        missing, more, moved, down = (Testbed() for _ in range(4))
        missing.active.pop()
        more.active.append(scraped("t-002", "t:2"))
        moved.active[2] = scraped("t-001", "t:9")
        down.active[2] = scraped("t-001", "t:1", "down")
        self.assertIn("only there: [('loadgen', 'loadgen:9464')]", missing.says(verify.discovered))
        self.assertIn("only scraped: [('t-002', 't:2')]", more.says(verify.discovered))
        self.assertIn("only scraped: [('t-001', 't:9')]", moved.says(verify.discovered))
        self.assertIn("cannot be scraped: ['t-001']", down.says(verify.discovered))

    def test_what_is_always_there_is_scraped(self):
        jobs = (Path(__file__).parent / "prometheus" / "prometheus.yml").read_text()
        for address in verify.ALWAYS.values():
            self.assertIn(f'targets: ["{address}"]', jobs)


if __name__ == "__main__":
    unittest.main()
