#!/usr/bin/env python3
"""Checks what can be known of Grafana's files without Grafana: the provisioning files against their schema, the dashboards
against its JSON model and the rules of its dashboard linter. Then breaks them, rule by rule, and looks whether it would notice.

The linter's rule of a datasource variable is turned around: here every datasource is the provisioned one, by its uid.
Whether the expressions have data is for ../expressions.py.
"""

import copy
import json
import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True

import generate
from model import COLUMNS, DATASOURCE, SCHEMA_VERSION

HERE = Path(__file__).parent
BUILT_IN = {"type": "grafana", "uid": "-- Grafana --"}
UNITS = {"reqps", "ops", "cps", "s", "percentunit", "bytes", "short", "none"}
PANELS = {"timeseries", "stat", "bargauge", "heatmap"}
# Variables that Grafana has.
GLOBALS = {"__rate_interval"}
# Functions that a counter may be read through.
OF_COUNTERS = ("rate(", "increase(", "changes(")
# Metrics that Prometheus has.
OWN_METRICS = {"ALERTS", "up"}
# Panels that show what was counted since a process began, and say so.
SINCE_START = {"Decisions so far", "Restarts and failed starts"}
DASHBOARD_KEYS = {
    "uid", "title", "description", "tags", "schemaVersion", "version", "editable", "fiscalYearStartMonth", "graphTooltip",
    "timezone", "time", "refresh", "timepicker", "liveNow", "weekStart", "annotations", "templating", "links", "panels",
}
PANEL_KEYS = {"id", "type", "title", "description", "datasource", "gridPos", "fieldConfig", "options", "targets"}
DATASOURCE_KEYS = {
    "name", "uid", "type", "access", "orgId", "url", "user", "database", "basicAuth", "basicAuthUser", "withCredentials",
    "isDefault", "jsonData", "secureJsonData", "version", "editable",
}
PROVIDER_KEYS = {
    "name", "orgId", "folder", "folderUid", "type", "disableDeletion", "allowUiUpdates", "updateIntervalSeconds", "options",
}


# === What is in the files ===


def scalar(text):
    """A YAML scalar of the kinds that the provisioning files have."""
    words = {"true": True, "false": False}
    return words[text] if text in words else int(text) if re.fullmatch(r"-?\d+", text) else text


def read_yaml(text):
    """The part of YAML that the provisioning files use: maps, lists of maps, plain scalars; anything else is an error."""
    lines = []
    for raw in text.splitlines():
        if raw.strip() and not raw.lstrip().startswith("#"):
            item = re.match(r"( *)(- )?([A-Za-z]\w*):(?: ([^\s&*!|>%@`\"'{\[][^#]*))?$", raw)
            if not item:
                raise ValueError(f"not of the simple kind: {raw!r}")
            indent, dash, key, value = len(item[1]), bool(item[2]), item[3], item[4]
            if dash:
                lines.append((indent, "-", None, None))
            lines.append((indent + 2 * dash, ":", key, value))

    def block(at, indent):
        if lines[at][1] == "-":
            items = []
            while at < len(lines) and lines[at][:2] == (indent, "-"):
                item, at = block(at + 1, indent + 2)
                items.append(item)
            return items, at
        found = {}
        while at < len(lines) and lines[at][:2] == (indent, ":"):
            _, _, key, value = lines[at]
            if key in found:
                raise ValueError(f"{key} is there twice")
            at += 1
            if value is None:
                if at == len(lines) or lines[at][0] <= indent:
                    raise ValueError(f"{key} is empty")
                found[key], at = block(at, lines[at][0])
            else:
                found[key] = scalar(value.strip())
        return found, at

    found, end = block(0, 0)
    if end != len(lines):
        raise ValueError(f"wrong indent: {lines[end]}")
    return found


def known_metrics():
    """Names that something serves: those of docs/report.md, those that `galton export` writes, those that rules record."""
    root = HERE.parent.parent
    words = re.findall(r"`((?:galton|process)_[a-z_*]+)`", (root / "docs/report.md").read_text())
    exported = re.findall(r'"(galton_run_[a-z_]+)"', (root / "galton/src/export.rs").read_text())
    # `process_*` stands for these.
    process = re.findall(r'"(process_[a-z_]+)"', (root / "runtime/src/telemetry.rs").read_text())
    recorded = re.findall(r"record: (\S+)", (HERE.parent / "prometheus/rules/recording.yml").read_text())
    return OWN_METRICS | set(words) | set(exported) | set(process) | set(recorded)


METRICS = known_metrics()


def seconds(interval):
    return int(interval[:-1]) * {"s": 1, "m": 60}[interval[-1]]


def min_refresh():
    """The shortest interval at which Grafana lets dashboards ask again: as the compose file says, or its own 5 s."""
    found = re.search(r"GF_DASHBOARDS_MIN_REFRESH_INTERVAL: (\w+)", (HERE.parent / "docker-compose.yml").read_text())
    return seconds(found[1] if found else "5s")


MIN_REFRESH_S = min_refresh()


def expressions(dashboard):
    """Every PromQL expression, with the place where it is."""
    for panel in dashboard["panels"]:
        for one in panel.get("targets", []):
            yield f"panel {panel.get('title')!r}", one.get("expr", "")
    for one in dashboard["annotations"]["list"]:
        if one.get("expr"):
            yield f"annotation {one['name']!r}", one["expr"]
    for one in dashboard["templating"]["list"]:
        yield f"variable {one['name']!r}", re.sub(r"^label_values\((.*), *\w+\)$", r"\1", one["query"]["query"])


# === Rules: each yields what is wrong ===


def top_level(d):
    unknown = set(d) ^ DASHBOARD_KEYS
    if unknown:
        yield f"keys unknown or missing: {sorted(unknown)}"
    if d.get("schemaVersion") != SCHEMA_VERSION:
        yield f"schemaVersion {d.get('schemaVersion')}, not {SCHEMA_VERSION}"
    if not re.fullmatch(r"galton-[a-z-]{1,33}", d.get("uid", "")):
        yield f"uid {d.get('uid')!r}"
    if not d.get("title") or not d.get("description"):
        yield "no title or no description"
    if "id" in d:
        yield "a database id: it belongs to one Grafana"
    if not re.fullmatch(r"now-\d+[mhd]", d["time"]["from"]) or d["time"]["to"] != "now":
        yield f"time {d['time']}"


def no_export_leftovers(d):
    text = json.dumps(d)
    for word in ("__inputs", "__requires", "${DS_", "__elements"):
        if word in text:
            yield f"{word}: it is made for imports by hand, and provisioning does not fill it"


def datasources(d):
    def of(where, node):
        if isinstance(node, dict):
            if "datasource" in node and node["datasource"] not in (DATASOURCE, BUILT_IN):
                yield f"{where}: datasource {node['datasource']}"
            for key, value in node.items():
                yield from of(f"{where}.{key}", value)
        elif isinstance(node, list):
            for i, value in enumerate(node):
                yield from of(f"{where}[{i}]", value)

    yield from of("", d)
    for panel in d["panels"]:
        for one in [panel] * (panel["type"] != "row") + panel.get("targets", []):
            if one.get("datasource") != DATASOURCE:
                yield f"panel {panel['title']!r}: no datasource"
    for one in d["templating"]["list"]:
        if one.get("datasource") != DATASOURCE:
            yield f"variable {one['name']!r}: no datasource"
    for one in d["annotations"]["list"]:
        if "datasource" not in one:
            yield f"annotation {one['name']!r}: no datasource"


def panels(d):
    ids = [panel.get("id") for panel in d["panels"]]
    if len(set(ids)) != len(ids) or not all(isinstance(i, int) and i > 0 for i in ids):
        yield f"panel ids are not unique positive numbers: {ids}"
    titles = [panel["title"] for panel in d["panels"] if panel["type"] != "row"]
    for title in {t for t in titles if titles.count(t) > 1}:
        yield f"two panels are called {title!r}"
    for panel in d["panels"]:
        if panel["type"] == "row":
            if panel["collapsed"] or panel["panels"]:
                yield f"row {panel['title']!r} hides panels from these checks"
            continue
        name = f"panel {panel.get('title')!r}"
        if set(panel) != PANEL_KEYS:
            yield f"{name}: keys unknown or missing: {sorted(set(panel) ^ PANEL_KEYS)}"
        if panel["type"] not in PANELS:
            yield f"{name}: type {panel['type']!r}"
        if not panel.get("title") or len(panel.get("description", "")) < 10:
            yield f"{name}: no title or no description"
        if panel["fieldConfig"]["defaults"].get("unit") not in UNITS:
            yield f"{name}: unit {panel['fieldConfig']['defaults'].get('unit')!r}"


def grid(d):
    taken = {}
    for panel in d["panels"]:
        name, at = panel["title"], panel["gridPos"]
        if set(at) != {"x", "y", "w", "h"} or at["w"] < 1 or at["h"] < 1 or at["x"] < 0 or at["x"] + at["w"] > COLUMNS:
            yield f"{name!r}: does not fit the {COLUMNS} columns: {at}"
            continue
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        for other in {taken[cell] for cell in cells if cell in taken}:
            yield f"{name!r} lies over {other!r}"
        taken |= dict.fromkeys(cells, name)


def targets(d):
    for panel in d["panels"]:
        if panel["type"] == "row":
            continue
        name, queries = f"panel {panel['title']!r}", panel.get("targets", [])
        if not queries:
            yield f"{name}: no query"
        refs = [one.get("refId") for one in queries]
        if len(set(refs)) != len(refs) or None in refs:
            yield f"{name}: refIds {refs}"
        for one in queries:
            if not one.get("expr") or not one.get("legendFormat"):
                yield f"{name}: no expression or no legend"
            if one.get("hide"):
                yield f"{name}: a hidden query"
            if (one.get("format") == "heatmap") != ("_bucket" in one["expr"] and panel["type"] == "heatmap" and "sum by (le)" in one["expr"]):
                yield f"{name}: buckets that are not read as buckets, or the reverse"
            by = set(re.findall(r"\w+", " ".join(re.findall(r"\bby \(([^)]*)\)", one["expr"])))) - {"le"}
            for label in re.findall(r"{{(\w+)}}", one.get("legendFormat", "")):
                if by and label not in by | {"le"}:
                    yield f"{name}: the legend has {label!r}, which the expression sums over"


def promql(d):
    for where, expr in expressions(d):
        if any(expr.count(a) != expr.count(b) for a, b in ("()", "[]", "{}")) or expr.count('"') % 2:
            yield f"{where}: unbalanced: {expr}"
        for window in re.findall(r"\b(?:rate|increase|irate|delta)\([^\[\]]*\[([^\]]*)\]", expr):
            if window != "$__rate_interval":
                yield f"{where}: window [{window}]: Grafana knows a better one, $__rate_interval"
        if "irate(" in expr:
            yield f"{where}: irate shows two samples of many"


def counters(d):
    """A counter alone says little, and falls to 0 when its process restarts."""
    for where, expr in expressions(d):
        title = where.split("'")[1]
        for found in re.finditer(r"\b\w+_(?:total|bucket)\b", expr):
            through = expr[: found.start()].rstrip("(").endswith(tuple(f[:-1] for f in OF_COUNTERS))
            if not through and title not in SINCE_START and not where.startswith("variable"):
                yield f"{where}: {found[0]} without rate"


def refusals(d):
    """Of a fleet at its minimum, removals that are refused come several times a second."""
    for where, expr in expressions(d):
        for matchers in re.findall(r"scaler_decisions[\w:]*({[^}]*})?", expr):
            if "reason" not in matchers:
                yield f"{where}: refused removals drown the other decisions: {expr}"


def refreshing(d):
    for interval in [d["refresh"], *d["timepicker"]["refresh_intervals"]]:
        if interval and seconds(interval) < MIN_REFRESH_S:
            yield f"refresh {interval}: Grafana allows {MIN_REFRESH_S} s"


def metrics(d):
    for where, expr in expressions(d):
        bare = re.sub(r'"[^"]*"|\[[^\]]*\]|\b(by|on|group_left) \([^)]*\)', "", expr)
        bare = re.sub(r"{[^}]*}", "", bare)
        for name in re.findall(r"[a-zA-Z_][a-zA-Z0-9_:]*(?![a-zA-Z0-9_:]*\s*\()", bare):
            if name in ("by", "on", "and", "or", "unless", "group_left"):
                continue
            if re.sub(r"_(bucket|count|sum)$", "", name) not in METRICS and name not in METRICS:
                yield f"{where}: nobody serves {name}"


def variables(d):
    names = [one["name"] for one in d["templating"]["list"]]
    if len(set(names)) != len(names):
        yield f"variables are not unique: {names}"
    used = {v for _, expr in expressions(d) for v in re.findall(r"\$\{?(\w+)", expr)} - GLOBALS
    if used - set(names):
        yield f"variables that nobody defines: {sorted(used - set(names))}"
    if set(names) - used:
        yield f"variables that no expression uses: {sorted(set(names) - used)}"
    for one in d["templating"]["list"]:
        name = f"variable {one['name']!r}"
        if not one.get("label") or not one.get("description"):
            yield f"{name}: no label or no description"
        if one.get("type") != "query" or one.get("refresh") != 2 or one["query"]["query"] != one["definition"]:
            yield f"{name}: not a query that is asked again when the time range changes"
        if one["options"] or one["includeAll"] != one["multi"]:
            yield f"{name}: options of one Grafana, or All without several"
        match = "=~" if one["multi"] else "="
        for where, expr in expressions(d):
            for operator in re.findall(rf'(=~|!~|!=|=)"\${one["name"]}"', expr):
                if operator != match:
                    yield f"{where}: {operator}\"${one['name']}\", not {match}"


RULES = (top_level, no_export_leftovers, datasources, panels, grid, targets, promql, counters, refusals, refreshing, metrics,
         variables)


def datasource_file(found):
    if set(found) != {"apiVersion", "datasources"} or found["apiVersion"] != 1:
        yield f"keys {sorted(found)}"
        return
    if [one.get("uid") for one in found["datasources"]] != [DATASOURCE["uid"]]:
        yield f"not the datasource {DATASOURCE['uid']}"
    for one in found["datasources"]:
        if set(one) - DATASOURCE_KEYS:
            yield f"keys unknown: {sorted(set(one) - DATASOURCE_KEYS)}"
        if one.get("type") != DATASOURCE["type"] or one.get("access") not in ("proxy", "direct") or not one.get("url"):
            yield "type, access or url"
        if one.get("jsonData", {}).get("timeInterval") != "1s":
            yield "timeInterval is not the scrape interval: $__rate_interval would be wrong"


def provider_file(found):
    if set(found) != {"apiVersion", "providers"} or found["apiVersion"] != 1:
        yield f"keys {sorted(found)}"
        return
    for one in found["providers"]:
        if set(one) - PROVIDER_KEYS:
            yield f"keys unknown: {sorted(set(one) - PROVIDER_KEYS)}"
        if one.get("type") != "file" or not str(one.get("options", {}).get("path", "")).startswith("/"):
            yield "type or path"
        if not isinstance(one.get("updateIntervalSeconds"), int):
            yield "updateIntervalSeconds"


# === Would it notice? ===


def panel_of(d, kind="timeseries"):
    return next(panel for panel in d["panels"] if panel["type"] == kind)


def set_expr(expr):
    return lambda d: panel_of(d)["targets"][0].update(expr=expr)


# What is done to a dashboard, and the rule that must object.
FAULTS = [
    (top_level, lambda d: d.update(schemaVersion=16)),
    (top_level, lambda d: d.update(uid="")),
    (top_level, lambda d: d.update(gnetId=1)),
    (no_export_leftovers, lambda d: d.update(__inputs=[])),
    (no_export_leftovers, lambda d: panel_of(d).update(datasource="${DS_PROMETHEUS}")),
    (datasources, lambda d: panel_of(d).update(datasource={"type": "prometheus", "uid": "other"})),
    (datasources, lambda d: panel_of(d)["targets"][0].pop("datasource")),
    (datasources, lambda d: panel_of(d).pop("datasource")),
    (panels, lambda d: panel_of(d).update(id=panel_of(d)["id"] + 1)),
    (panels, lambda d: panel_of(d).update(description="")),
    (panels, lambda d: panel_of(d).update(title="")),
    (panels, lambda d: panel_of(d).update(type="graph")),
    (panels, lambda d: panel_of(d)["fieldConfig"]["defaults"].pop("unit")),
    (panels, lambda d: panel_of(d)["fieldConfig"]["defaults"].update(unit="requests")),
    (grid, lambda d: panel_of(d)["gridPos"].update(x=20)),
    (grid, lambda d: panel_of(d)["gridPos"].update(h=panel_of(d)["gridPos"]["h"] + 1) or panel_of(d)["gridPos"].update(w=24, x=0)),
    (targets, lambda d: panel_of(d).update(targets=[])),
    (targets, lambda d: panel_of(d)["targets"][0].update(legendFormat="")),
    (targets, lambda d: panel_of(d)["targets"][0].update(expr="sum by (proxy) (up)", legendFormat="{{target}}")),
    (targets, lambda d: panel_of(d)["targets"].append(panel_of(d)["targets"][0])),
    (promql, set_expr("sum(rate(galton_load_sent_total[1m]))")),
    (promql, set_expr("sum(galton_load_in_flight")),
    (counters, set_expr("sum(galton_load_sent_total)")),
    (refusals, set_expr("sum(increase(galton_scaler_decisions_total[$__rate_interval]))")),
    (refusals, set_expr("direction_reason:scaler_decisions:increase1m")),
    (refreshing, lambda d: d.update(refresh="0s")),
    (metrics, set_expr("sum(galton_load_inflight)")),
    (metrics, set_expr("galton:free_slots")),
    (variables, set_expr('galton_load_in_flight{job="$job"}')),
    (variables, lambda d: d["templating"]["list"].append({**generate.BOARDS["targets"]["templating"]["list"][0], "name": "idle"})),
    (variables, set_expr('galton_target_in_flight{target="$target"}')),
]


def main():
    passed, failed = 0, 0

    def check(what, faults):
        nonlocal passed, failed
        faults = list(faults)
        failed, passed = failed + bool(faults), passed + (not faults)
        for fault in faults:
            print(f"FAILED: {what}: {fault}")

    boards = {path.name: json.loads(path.read_text()) for path in sorted(generate.DASHBOARDS.glob("*.json"))}
    for name, text in generate.texts().items():
        path = generate.DASHBOARDS / name
        same = path.is_file() and path.read_text() == text
        check(f"{name} is what generate.py writes", [] if same else ["run generate.py"])
    check("no other dashboards", sorted(set(boards) ^ set(generate.texts())))
    for key in ("uid", "title"):
        values = [board[key] for board in boards.values()]
        check(f"every {key} is there once", [f"{values}"] if len(set(values)) != len(values) else [])
    for name, board in boards.items():
        for rule in RULES:
            check(f"{name}: {rule.__name__}", rule(board))

    for path, rule in (("datasources/prometheus.yml", datasource_file), ("dashboards/galton.yml", provider_file)):
        try:
            check(path, rule(read_yaml((HERE / "provisioning" / path).read_text())))
        except ValueError as error:
            check(path, [error])

    for i, (rule, spoil) in enumerate(FAULTS):
        board = copy.deepcopy(boards["targets.json"])
        spoil(board)
        check(f"fault {i} is noticed by {rule.__name__}", [] if list(rule(board)) else ["it is not"])

    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
