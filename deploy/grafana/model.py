"""The parts of a Grafana dashboard, as its JSON model wants them. What is shown where is in boards.py."""

DATASOURCE = {"type": "prometheus", "uid": "galton-prometheus"}
# The model of Grafana 10.4 and 11.0. Older ones read it too, newer ones migrate it.
SCHEMA_VERSION = 39
COLUMNS = 24


def query(expr, legend, **more):
    """One expression; `legend` may name labels."""
    return {
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": " ".join(expr.split()),
        "legendFormat": legend,
        "range": True,
        **more,
    }


def _panel(kind, title, description, unit, queries, width, height, defaults, options, overrides=()):
    refs = [{"refId": chr(ord("A") + i), **q} for i, q in enumerate(queries)]
    return {
        "type": kind,
        "title": title,
        "description": " ".join(description.split()),
        "datasource": DATASOURCE,
        "gridPos": {"w": width, "h": height},
        "fieldConfig": {"defaults": {"unit": unit, **defaults}, "overrides": list(overrides)},
        "options": options,
        "targets": refs,
    }


def lines(title, description, unit, *queries, width=8, height=8, stack=False, top=None, steps=False, overrides=()):
    """Lines over time, from 0."""
    custom = {
        "drawStyle": "line",
        "lineInterpolation": "stepAfter" if steps else "linear",
        "lineWidth": 1,
        "fillOpacity": 60 if stack else 8,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stack else "none", "group": "A"},
    }
    limits = {"min": 0} if top is None else {"min": 0, "max": top}
    defaults = {"color": {"mode": "palette-classic"}, "custom": custom, **limits}
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return _panel("timeseries", title, description, unit, queries, width, height, defaults, options, overrides)


def bars(title, description, unit, *queries, width=8, height=8):
    """Bars over time, stacked."""
    panel = lines(title, description, unit, *queries, width=width, height=height, stack=True)
    panel["fieldConfig"]["defaults"]["custom"] |= {"drawStyle": "bars", "fillOpacity": 80, "lineWidth": 0}
    return panel


def number(title, description, unit, one, warn=None, bad=None, width=4, height=4):
    """The last value, large; yellow from `warn` on, red from `bad` on."""
    steps = [{"color": "green", "value": None}]
    steps += [{"color": c, "value": v} for c, v in (("yellow", warn), ("red", bad)) if v is not None]
    defaults = {"color": {"mode": "thresholds"}, "thresholds": {"mode": "absolute", "steps": steps}}
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "auto",
    }
    return _panel("stat", title, description, unit, [one], width, height, defaults, options)


def gauges(title, description, unit, one, top=None, width=8, height=8):
    """The last values as bars, one per series."""
    limits = {"min": 0} if top is None else {"min": 0, "max": top}
    defaults = {"color": {"mode": "continuous-BlPu"}, **limits}
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "displayMode": "basic",
        "orientation": "horizontal",
        "showUnfilled": True,
        "valueMode": "color",
    }
    return _panel("bargauge", title, description, unit, [one], width, height, defaults, options)


def _heatmap(title, description, cell_unit, axis, one, width, height):
    options = {
        "calculate": False,
        "color": {"mode": "scheme", "scheme": "Turbo", "fill": "dark-orange", "exponent": 0.5, "steps": 64, "reverse": False},
        "cellGap": 1,
        "cellValues": {"unit": cell_unit},
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": True},
        "yAxis": {"axisPlacement": "left", "reverse": False, **axis},
    }
    custom = {"scaleDistribution": {"type": "linear"}, "hideFrom": {"tooltip": False, "viz": False, "legend": False}}
    return _panel("heatmap", title, description, cell_unit, [one], width, height, {"custom": custom}, options)


def heat_rows(title, description, unit, one, width=12, height=9):
    """A row per series, coloured by its value."""
    return _heatmap(title, description, unit, {}, one, width, height)


def heat_buckets(title, description, one, width=12, height=9):
    """A row per bucket of a time histogram, coloured by how many fell into it per second."""
    one = {**one, "format": "heatmap", "legendFormat": "{{le}}"}
    return _heatmap(title, description, "reqps", {"unit": "s"}, one, width, height)


def dashed(pattern):
    """Draws the series that match dashed."""
    style = {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [8, 6]}}
    return {"matcher": {"id": "byRegexp", "options": pattern}, "properties": [style]}


def variable(name, label, description, values_of, of, many=True):
    """A choice among the values of a label."""
    expr = f"label_values({of}, {values_of})"
    both = {"selected": True, "text": ["All"], "value": ["$__all"]}
    return {
        "type": "query",
        "name": name,
        "label": label,
        "description": description,
        "datasource": DATASOURCE,
        "definition": expr,
        "query": {"qryType": 1, "query": expr, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        # When the time range changes: the fleet is another one then.
        "refresh": 2,
        "sort": 1,
        "regex": "",
        "hide": 0,
        "skipUrlSync": False,
        "multi": many,
        "includeAll": many,
        "options": [],
        **({"current": both} if many else {}),
    }


def annotation(name, expr, title, colour):
    """Marks on every panel, where the expression has a value."""
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": colour,
        "expr": expr,
        "step": "1s",
        "titleFormat": title,
        "textFormat": "",
        "tagKeys": "",
        "useValueForTime": False,
    }


def _placed(rows):
    """Panels from left to right and from top to bottom, under the heads of their rows; numbered."""
    placed, y = [], 0
    for title, panels in rows:
        head = {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"h": 1, "w": COLUMNS}}
        head["gridPos"] |= {"x": 0, "y": y}
        placed.append(head)
        y, x, tallest = y + 1, 0, 0
        for panel in panels:
            size = panel["gridPos"]
            if x + size["w"] > COLUMNS:
                y, x, tallest = y + tallest, 0, 0
            size |= {"x": x, "y": y}
            x, tallest = x + size["w"], max(tallest, size["h"])
            placed.append(panel)
        y += tallest
    return [{"id": i, **panel} for i, panel in enumerate(placed, 1)]


def board(uid, title, description, rows, variables=(), annotations=(), time="now-5m", refresh="2s"):
    """A dashboard."""
    own = {
        "builtIn": 1,
        "name": "Annotations & Alerts",
        "type": "dashboard",
        "datasource": {"type": "grafana", "uid": "-- Grafana --"},
        "enable": True,
        "hide": True,
        "iconColor": "rgba(0, 211, 255, 1)",
    }
    link = {
        "type": "dashboards",
        "title": "Galton",
        "tags": ["galton"],
        "asDropdown": False,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "",
        "url": "",
    }
    return {
        "uid": uid,
        "title": title,
        "description": " ".join(description.split()),
        "tags": ["galton"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "fiscalYearStartMonth": 0,
        "graphTooltip": 1,
        "timezone": "browser",
        "time": {"from": time, "to": "now"},
        "refresh": refresh,
        "timepicker": {"refresh_intervals": ["1s", "2s", "5s", "10s", "30s", "1m"]},
        "liveNow": False,
        "weekStart": "",
        "annotations": {"list": [own, *annotations]},
        "templating": {"list": list(variables)},
        "links": [link],
        "panels": _placed(rows),
    }
