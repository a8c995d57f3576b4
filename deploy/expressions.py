#!/usr/bin/env python3
"""Asks a Prometheus every expression of every dashboard (panels, variables, annotations) and of every rule, as Grafana would
while a load runs, and prints how many have data. Exits with 1 if one is an error or has none, or if an alert fires: the testbed
is to be healthy meanwhile.

    deploy/expressions.py http://127.0.0.1:9090 [--last 120] [--imported UNIX_S]

The dashboard of imported runs is asked about the time that `galton export` let them begin at; without --imported, about
where Prometheus has any.
"""

import argparse
import json
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

DASHBOARDS = Path(__file__).parent / "grafana" / "dashboards"

# Expressions that may be empty while all is well, and why.
MAY_BE_EMPTY = {
    'ALERTS{alertstate="firing"}': "nothing is wrong; promtool's unit tests show every alert firing",
    'sum by (reason) (changes(galton_scaler_decisions_total{direction="up", reason=~"asked|at_max"}[2s])) > 0': "the fleet did not grow lately",
    'sum by (reason) (changes(galton_scaler_decisions_total{direction="down", reason=~"asked|at_max"}[2s])) > 0': "the fleet did not shrink lately",
}
# Alerting rules have data when something is wrong: of them, Prometheus' own word is taken that it can evaluate them.
STEP_S = 1
# Of the imported runs; longer than the scenarios that ship.
RUN_S = 600
# Where Grafana takes 4 scrapes for $__rate_interval.
RATE_INTERVAL = "4s"


class Prometheus:
    def __init__(self, url):
        self.url = url.rstrip("/")

    def get(self, path, **query):
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query, doseq=True)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            why = json.load(error).get("error", "")
            raise RuntimeError(f"{error.code}: {why}") from error

    def has_data(self, expr, start, end):
        """Whether any series has a number at any step."""
        found = self.get("query_range", query=expr, start=start, end=end, step=STEP_S)
        return any(value != "NaN" for series in found["result"] for _, value in series["values"])

    def label_values(self, selector, label, start, end):
        return self.get(f"label/{label}/values", **{"match[]": selector, "start": start, "end": end})


def label_values_of(query):
    """Selector and label of a variable's `label_values(selector, label)`."""
    return re.fullmatch(r"label_values\((.*), *(\w+)\)", query).groups()


def substituted(expr, values, rate_interval=RATE_INTERVAL):
    """The expression with Grafana's own variables and the dashboard's replaced, as Grafana does."""
    expr = expr.replace("$__rate_interval", rate_interval)
    for name, value in values.items():
        expr = re.sub(rf"\$\{{?{name}\b\}}?", lambda _: value, expr)
    if "$" in expr:
        raise RuntimeError(f"not substituted: {expr}")
    return expr


class Table:
    def __init__(self):
        self.rows, self.faults, self.empty = [], [], []

    def add(self, name, panels, checked, with_data):
        self.rows.append((name, str(panels), str(checked), str(with_data)))

    def print(self):
        head = ("", "panels", "expressions checked", "with data")
        for name, *numbers in [head, *self.rows]:
            print(f"{name:34}" + "".join(f"{n:>{len(h) + 2}}" for n, h in zip(numbers, head[1:])))


def check(prometheus, table, where, expr, start, end):
    """Whether it has data; what is wrong goes to the table."""
    try:
        if prometheus.has_data(expr, start, end):
            return True
    except (OSError, RuntimeError) as error:
        table.faults.append(f"{where}: {expr}: {error}")
        return False
    if expr in MAY_BE_EMPTY:
        table.empty.append(f"{where}: {MAY_BE_EMPTY[expr]}")
    else:
        table.faults.append(f"{where}: no data: {expr}")
    return False


def dashboard(prometheus, table, board, window):
    start, end = window
    title, values, found = board["title"], {}, []
    for one in board["templating"]["list"]:
        selector, label = label_values_of(one["query"]["query"])
        choices = prometheus.label_values(substituted(selector, values), label, start, end)
        found.append(bool(choices))
        if not choices:
            table.faults.append(f"{title}: variable {one['name']}: no values: {selector}")
        # All, or the first.
        chosen = [re.escape(choice) for choice in choices] if one["multi"] else choices[:1]
        # Within a PromQL string a backslash is doubled.
        values[one["name"]] = "|".join(chosen).replace("\\", "\\\\")
        if one["multi"]:
            values[one["name"]] = f"({values[one['name']]})"
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    asked = [(panel["title"], one["expr"]) for panel in panels for one in panel["targets"]]
    asked += [(one["name"], one["expr"]) for one in board["annotations"]["list"] if "expr" in one]
    for name, expr in asked:
        found.append(check(prometheus, table, f"{title}: {name}", substituted(expr, values), start, end))
    table.add(title, len(panels), len(found), sum(found))


def rules(prometheus, table, window):
    """Recording rules must have data; of all rules, the last evaluation must have gone well; no alert may fire."""
    groups = prometheus.get("rules")["groups"]
    of_kind = {"recording": [], "alerting": []}
    for rule in (rule for group in groups for rule in group["rules"]):
        if rule["health"] != "ok":
            table.faults.append(f"rule {rule['name']}: {rule['health']}: {rule.get('lastError', '')}")
        of_kind[rule["type"]].append(rule)
    if not all(of_kind.values()):
        table.faults.append(f"rules are missing: {', '.join(kind for kind, rules in of_kind.items() if not rules)}")
    found = [check(prometheus, table, f"rule {rule['name']}", rule["query"], *window) for rule in of_kind["recording"]]
    table.add("Recording rules", "-", len(found), sum(found))
    healthy = sum(rule["health"] == "ok" for rule in of_kind["alerting"])
    table.add("Alerting rules (evaluated, no data)", "-", len(of_kind["alerting"]), f"{healthy} ok")
    firing = [a for a in prometheus.get("alerts")["alerts"] if a["state"] == "firing"]
    table.faults += sorted({" ".join(filter(None, ("firing:", a["labels"]["alertname"], a["labels"].get("instance")))) for a in firing})


def imported_window(prometheus, at):
    """When the imported runs were, to the second: as said, or as found."""
    if at is None:
        now = int(time.time())
        # Instant queries look back over a month of blocks; the minimum is where the runs begin.
        found = prometheus.get("query", query="min(min_over_time(timestamp(galton_run_targets)[31d:1m]))", time=now)["result"]
        if not found:
            return None
        at = int(float(found[0]["value"][1])) - 60
    return at, at + RUN_S


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="base URL of Prometheus")
    parser.add_argument("--last", type=int, default=120, metavar="S", help="look at the last S seconds (default: %(default)s)")
    parser.add_argument("--imported", type=int, metavar="UNIX_S", help="when the imported runs begin")
    args = parser.parse_args()
    prometheus, table, now = Prometheus(args.url), Table(), int(time.time())
    lately = (now - args.last, now)

    for path in sorted(DASHBOARDS.glob("*.json")):
        board = json.loads(path.read_text())
        window = lately
        if "galton_run_" in path.read_text():
            window = imported_window(prometheus, args.imported)
            if window is None:
                table.faults.append(f"{board['title']}: nothing is imported (galton export, promtool tsdb create-blocks-from)")
                continue
        dashboard(prometheus, table, board, window)
    rules(prometheus, table, lately)

    table.print()
    for line in table.empty:
        print(f"empty, as it may be: {line}")
    for fault in table.faults:
        print(f"FAILED: {fault}")
    sys.exit(1 if table.faults else 0)


if __name__ == "__main__":
    main()
