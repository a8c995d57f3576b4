"""What the dashboards show. How a panel is written down is in model.py.

Percentiles over time come from buckets that double, so a value may be off by up to a factor of 2, below 1 µs by more; the report's
are exact.
"""

from model import annotation, bars, board, dashed, gauges, heat_buckets, heat_rows, lines, number, query, variable

RATE = "[$__rate_interval]"
COARSE = "From buckets that double from 1 µs on: may be off by up to a factor of 2, below 1 µs by more."

# They would drown everything else.
NOT_REFUSED = "Removals that were refused are left out: hosts propose an idle target again at every scan."

PROXY = variable("proxy", "Proxy", "Load-balancer hosts, by number.", "proxy", "galton_proxy_received_total")
TARGET = variable("target", "Target", "Targets, by slot.", "target", "galton_target_in_flight")
SCENARIO = variable("scenario", "Scenario", "Of the imported runs.", "scenario", "galton_run_targets", many=False)
RUN = variable("run", "Run", "Runs of the scenario, live and simulated.", "run", 'galton_run_targets{scenario="$scenario"}')

DECISIONS = [
    annotation(
        f"Scale {direction}",
        f'sum by (reason) (changes(galton_scaler_decisions_total{{direction="{direction}", reason=~"asked|at_max"}}[2s])) > 0',
        f"scale {direction}: {{{{reason}}}}",
        colour,
    )
    for direction, colour in (("up", "green"), ("down", "orange"))
]
ALERTS = annotation("Alerts", 'ALERTS{alertstate="firing"}', "{{alertname}} {{instance}}", "red")


def percentiles(metric, labels="", by="", name="", of=(0.5, 0.99)):
    """One query per percentile of a histogram; `by` keeps labels apart."""
    keep = f"{by}, le" if by else "le"
    legend = f"{name} p{{}}".strip()
    return [
        query(f"histogram_quantile({q}, sum by ({keep}) (rate({metric}_bucket{labels}{RATE})))", legend.format(f"{100 * q:g}"))
        for q in of
    ]


OVERVIEW = board(
    "galton-overview",
    "Galton: Overview",
    "Rate, errors and duration of the load generator and of every proxy, and how full everything is.",
    [
        ("Now", [
            number(
                "Requests", "Received by all proxies.", "reqps",
                query(f"sum(rate(galton_proxy_received_total{RATE}))", "received"),
            ),
            number(
                "Not ok", "Share of the requests answered by proxies that did not end ok.", "percentunit",
                query(
                    f"""1 - sum(rate(galton_proxy_requests_total{{outcome="ok"}}{RATE}))
                    / sum(rate(galton_proxy_requests_total{RATE}))""", "not ok",
                ),
                warn=0.001, bad=0.05,
            ),
            number(
                "Duration, p99", f"At the proxies, from the head of a request to the end of its response. {COARSE}", "s",
                query(
                    f"histogram_quantile(0.99, sum by (le) (rate(galton_proxy_request_duration_seconds_bucket{RATE})))",
                    "p99",
                ),
            ),
            number("Targets", "Targets that are ready.", "short", query('sum(galton_scaler_targets{state="ready"})', "ready")),
            number(
                "Slots taken", "Requests held by the targets that take requests, over what they may hold.", "percentunit",
                query("galton:slots_taken:ratio", "taken"), warn=0.8, bad=0.95,
            ),
            number(
                "Send lag, p99", f"How late the load generator sends; late sends measure the generator. {COARSE}", "s",
                query("galton:load_send_lag_seconds:p99_10s", "p99"), warn=0.0005, bad=0.005,
            ),
        ]),
        ("Load generator", [
            lines(
                "Rate by outcome", "Requests sent, and requests that ended, by how they ended.", "reqps",
                query(f"sum(rate(galton_load_sent_total{RATE}))", "sent"),
                query(f"sum by (outcome) (rate(galton_load_requests_total{RATE}))", "{{outcome}}"),
            ),
            lines(
                "Response time", f"From the intended send to the end, whatever the outcome. {COARSE}", "s",
                *percentiles("galton_load_response_seconds", of=(0.5, 0.9, 0.99)),
            ),
            lines(
                "Send lag", f"From the intended to the actual send. {COARSE}", "s",
                *percentiles("galton_load_send_lag_seconds"), width=4,
            ),
            lines("In flight", "Requests sent and not ended.", "short", query("sum(galton_load_in_flight)", "in flight"), width=4),
        ]),
        ("Proxies", [
            lines(
                "Rate", "Requests received, per proxy.", "reqps",
                query(f'sum by (proxy) (rate(galton_proxy_received_total{{proxy=~"$proxy"}}{RATE}))', "proxy {{proxy}}"),
            ),
            lines(
                "Errors", "Requests that did not end ok, per proxy and outcome.", "reqps",
                query(
                    f"""sum by (proxy, outcome)
                    (rate(galton_proxy_requests_total{{proxy=~"$proxy", outcome!="ok"}}{RATE}))""",
                    "proxy {{proxy}}: {{outcome}}",
                ),
            ),
            lines(
                "Duration", f"From the head of a request to the end of its response, per proxy. {COARSE}", "s",
                *percentiles("galton_proxy_request_duration_seconds", '{proxy=~"$proxy"}', "proxy", "proxy {{proxy}}"),
            ),
        ]),
        ("Front door", [
            lines(
                "Connections", "Connections that the front door passes on, per proxy, and those for which no proxy was there.", "cps",
                query(f'sum by (proxy) (rate(galton_front_connections_total{{proxy=~"$proxy"}}{RATE}))', "proxy {{proxy}}"),
                query(f"sum(rate(galton_front_failures_total{RATE}))", "failed"), width=16,
            ),
            lines("Open connections", "At the front door, of all clients.", "short", query("sum(galton_front_connections)", "open")),
        ]),
        ("Saturation", [
            lines(
                "Slots", "What the targets hold, and what they may hold; a draining target may hold nothing more.", "short",
                query("sum(galton_target_in_flight)", "in flight"),
                query("galton:slots:sum", "slots"),
                query("galton:free_slots:sum", "free"),
            ),
            lines(
                "CPU", "Cores that each kind of process uses.", "short",
                query(f"sum by (role) (rate(process_cpu_seconds_total{RATE}))", "{{role}}"), stack=True,
            ),
            lines(
                "Descriptors", "Open descriptors over their limit, of the process of each kind that is nearest to it.",
                "percentunit",
                query("max by (role) (process_open_fds / process_max_fds)", "{{role}}"), width=4,
            ),
            lines(
                "Memory", "Resident, of all processes of a kind.", "bytes",
                query("sum by (role) (process_resident_memory_bytes)", "{{role}}"), width=4,
            ),
        ]),
    ],
    variables=[PROXY],
    annotations=[ALERTS],
)

TARGETS = board(
    "galton-targets",
    "Galton: Targets",
    "What each target holds, how long, what it costs, and how the load is shared.",
    [
        ("Held", [
            heat_rows(
                "In flight, per target", "Requests held: a row per target, the colour says how many.", "short",
                query('sum by (target) (galton_target_in_flight{target=~"$target"})', "{{target}}"),
            ),
            heat_rows(
                "Slots taken, per target", "Requests held over the limit: a row per target. A draining target has no row.",
                "percentunit",
                query('target:slots_taken:ratio{target=~"$target"}', "{{target}}"),
            ),
            heat_buckets(
                "Hold times", "How long completed requests were held by the chosen targets: a row per bucket (buckets double).",
                query(f'sum by (le) (rate(galton_target_hold_seconds_bucket{{target=~"$target"}}{RATE}))', "{{le}}"),
            ),
            heat_rows(
                "Hold time p50, per target", f"Median hold time: a row per target, the colour says how long. {COARSE}", "s",
                query(
                    f"""histogram_quantile(0.5, sum by (target, le)
                    (rate(galton_target_hold_seconds_bucket{{target=~"$target"}}{RATE})))""", "{{target}}",
                ),
            ),
        ]),
        ("Load", [
            lines(
                "Share of load", "Each target's share of all requests accepted. Even is one over the number of targets.",
                "percentunit",
                query('target:accepted:share10s{target=~"$target"}', "{{target}}"), stack=True, top=1,
            ),
            gauges(
                "Share of load, now", "Each target's share of the requests accepted in the last 10 s.", "percentunit",
                query('target:accepted:share10s{target=~"$target"}', "{{target}}"),
            ),
            lines(
                "Accepted", "Requests accepted, per target.", "reqps",
                query(
                    f"""sum by (target)
                    (rate(galton_target_requests_total{{target=~"$target", outcome="accepted"}}{RATE}))""", "{{target}}",
                ),
            ),
            lines(
                "Refused", "Requests refused, being full or draining, per target.", "reqps",
                query(
                    f"""sum by (target)
                    (rate(galton_target_requests_total{{target=~"$target", outcome="refused"}}{RATE}))""", "{{target}}",
                ),
            ),
            lines(
                "Ends", "How accepted requests ended: held to the end, or the caller went away before.", "reqps",
                query(
                    f"""sum by (outcome) (rate(galton_target_requests_total
                    {{target=~"$target", outcome=~"completed|cancelled"}}{RATE}))""", "{{outcome}}",
                ),
            ),
            lines(
                "Holds that overran", "Completed holds that ended more than 2 ms late: the machine is too busy.", "reqps",
                query(f'sum by (target) (rate(galton_target_holds_overrun_total{{target=~"$target"}}{RATE}))', "{{target}}"),
            ),
        ]),
        ("CPU", [
            lines(
                "CPU demand", "CPU demand of what is held over the capacity, per target.", "percentunit",
                query('sum by (target) (galton_target_cpu_utilisation_ratio{target=~"$target"})', "{{target}}"),
            ),
            lines(
                "CPU burned", "Cores spent on demand, per target; 0 unless the scenario burns.", "short",
                query(f'sum by (target) (rate(galton_target_cpu_seconds_total{{target=~"$target"}}{RATE}))', "{{target}}"),
            ),
            lines(
                "CPU of the process", "Cores that a target's process uses, demand and own work.", "short",
                query(
                    f'sum by (instance) (rate(process_cpu_seconds_total{{role="target", instance=~"$target"}}{RATE}))',
                    "{{instance}}",
                ),
            ),
        ]),
    ],
    variables=[TARGET],
    annotations=DECISIONS,
)

BALANCING = board(
    "galton-balancing",
    "Galton: Balancing",
    "What the proxies decided: attempts, retries, rejects, the room they had, and how even the result is.",
    [
        ("Attempts", [
            lines(
                "Attempts by outcome", "Attempts that ended; full: the target refused.", "ops",
                query(
                    f"""sum by (outcome)
                    (rate(galton_proxy_attempts_total{{proxy=~"$proxy", target=~"$target"}}{RATE}))""", "{{outcome}}",
                ),
                stack=True,
            ),
            lines(
                "Attempts per target", "Attempts that ended, whatever came of them.", "ops",
                query(
                    f"""sum by (target)
                    (rate(galton_proxy_attempts_total{{proxy=~"$proxy", target=~"$target"}}{RATE}))""", "{{target}}",
                ),
            ),
            lines(
                "Retries", "Attempts after the first of a request, per proxy.", "ops",
                query(f'sum by (proxy) (rate(galton_proxy_retries_total{{proxy=~"$proxy"}}{RATE}))', "proxy {{proxy}}"),
            ),
            lines(
                "Retries per request, refusals per attempt", "How often the first choice was not the last.", "percentunit",
                query("galton:retries:ratio10s", "retries per request"),
                query("galton:refused:ratio10s", "refusals per attempt"),
            ),
            lines(
                "Rejects", "Requests that a proxy rejected, per proxy.", "reqps",
                query(
                    f"""sum by (proxy)
                    (rate(galton_proxy_requests_total{{proxy=~"$proxy", outcome="rejected"}}{RATE}))""", "proxy {{proxy}}",
                ),
            ),
            lines(
                "Connection failures", "Dispatches without a connection to the target, per proxy.", "ops",
                query(
                    f'sum by (proxy) (rate(galton_proxy_connection_failures_total{{proxy=~"$proxy"}}{RATE}))',
                    "proxy {{proxy}}",
                ),
            ),
        ]),
        ("Balance", [
            lines(
                "Free slots", "Of the targets that take requests: what a reject or a refusal was up against.", "short",
                query("galton:free_slots:sum", "free"),
                query("galton:slots:sum", "slots"),
            ),
            lines(
                "Imbalance", "The busiest target over the mean target; 1 is perfectly even.", "none",
                query("galton:accepted:max_over_mean10s", "requests accepted"),
                query("galton:slots_taken:max_over_mean", "slots taken"),
            ),
            lines(
                "In flight, as proxies see it", "Attempts that have not ended, per target, of the chosen proxies.", "short",
                query(
                    'sum by (target) (galton_proxy_in_flight{proxy=~"$proxy", target=~"$target"})', "{{target}}",
                ),
            ),
        ]),
        ("Cost", [
            lines(
                "Time to the first decision", f"From an arrival to its first decision, per proxy. {COARSE}", "s",
                *percentiles("galton_proxy_pick_duration_seconds", '{proxy=~"$proxy"}', "proxy", "proxy {{proxy}}"),
            ),
            lines(
                "Overhead", f"Time at the load balancer not spent in the serving attempt, per proxy. {COARSE}", "s",
                *percentiles("galton_proxy_overhead_seconds", '{proxy=~"$proxy"}', "proxy", "proxy {{proxy}}"),
            ),
            lines(
                "CPU per request", "CPU time of all proxies over the requests that they received.", "s",
                query(
                    f"""sum(rate(process_cpu_seconds_total{{role="proxy"}}{RATE}))
                    / sum(rate(galton_proxy_received_total{RATE}))""", "CPU per request",
                ),
            ),
        ]),
        ("Conservation", [
            lines(
                "Counted in the last minute",
                "Sent by the load generator, received and dispatched by the proxies, received by the targets, as the scaler has it from their"
                " books. Received above sent: there are other clients. Dispatched above received: retries.",
                "short",
                query("galton:load_sent:delta1m", "sent"),
                query("galton:proxy_received:delta1m", "received by proxies"),
                query("galton:proxy_dispatched:delta1m", "dispatched"),
                query("galton:target_received:delta1m", "received by targets"),
                width=16,
            ),
            lines(
                "Lost",
                "Share of the requests sent that no proxy received, and of the attempts that no target did. While rates change,"
                " some are on their way between two scrapes.",
                "percentunit",
                query("clamp_min(galton:requests_lost:ratio1m, 0)", "requests"),
                query("abs(galton:attempts_lost:ratio1m)", "attempts"),
            ),
        ]),
    ],
    variables=[PROXY, TARGET],
    annotations=DECISIONS,
)

AUTOSCALING = board(
    "galton-autoscaling",
    "Galton: Autoscaling",
    "The fleet: what was asked for, what there is, how long it took. Decisions are marked on every panel.",
    [
        ("Fleet", [
            lines(
                "Targets", "What the scaler wants, within its limits, and what there is.", "short",
                query("galton_scaler_desired_targets", "desired"),
                query('sum by (state) (galton_scaler_targets{state=~"ready|starting|draining|restarting"})', "{{state}}"),
                query("galton_scaler_min_targets", "min"),
                query("galton_scaler_max_targets", "max"),
                width=16, height=10, steps=True, overrides=[dashed("/^(min|max)$/")],
            ),
            lines(
                "Demand and room", "Requests held by targets, and the slots of those that take requests.", "short",
                query("sum(galton_target_in_flight)", "in flight"),
                query("galton:slots:sum", "slots"),
                height=10, steps=True,
            ),
        ]),
        ("Decisions", [
            bars(
                "Decisions", f"Requests to start or remove a target within a minute, by what was decided. {NOT_REFUSED}", "short",
                query('direction_reason:scaler_decisions:increase1m{reason!="refused"}', "{{direction}}: {{reason}}"), width=16,
            ),
            lines(
                "Decisions so far", f"Since the scaler began. {NOT_REFUSED}", "short",
                query('sum by (direction, reason) (galton_scaler_decisions_total{reason!="refused"})', "{{direction}}: {{reason}}"),
                steps=True,
            ),
        ]),
        ("Starts", [
            lines(
                "Start duration", f"From the order to start a process until it served, of all starts so far. {COARSE}", "s",
                query("galton:scaler_start_duration_seconds:p50", "p50"),
                query("galton:scaler_start_duration_seconds:p99", "p99"),
            ),
            heat_buckets(
                "Starts by duration", "Starts per second: a row per bucket (buckets double).",
                query(f"sum by (le) (rate(galton_scaler_start_duration_seconds_bucket{RATE}))", "{{le}}"), width=8, height=8,
            ),
            lines(
                "Restarts and failed starts",
                "Processes started in place of one that died, and targets that did not come up, since the scaler began.", "short",
                query("galton_scaler_restarts_total", "restarts"),
                query("galton_scaler_start_failures_total", "failed starts"), steps=True,
            ),
        ]),
        ("What requests see", [
            lines(
                "Response time", f"From the intended send to the end, at the load generator. {COARSE}", "s",
                *percentiles("galton_load_response_seconds"),
            ),
            lines(
                "Overhead", f"At the load balancer: waiting for a target that starts counts. {COARSE}", "s",
                *percentiles("galton_proxy_overhead_seconds"),
            ),
            lines(
                "Not ok", "Requests that did not end ok, at the proxies.", "reqps",
                query(f'sum by (outcome) (rate(galton_proxy_requests_total{{outcome!="ok"}}{RATE}))', "{{outcome}}"),
            ),
        ]),
    ],
    annotations=DECISIONS,
)

# The imported runs that are chosen.
RUNS = 'scenario="$scenario", run=~"$run"'


def imported(title, description, unit, metric, more="", label="", **how):
    """The same series of all chosen runs: simulated ones are dashed."""
    selector = f"{RUNS}, {more}" if more else RUNS
    legend = "{{source}} " + (f"{{{{{label}}}}} " if label else "") + "({{run}})"
    by = f"source, run, {label}" if label else "source, run"
    one = query(f"sum by ({by}) ({metric}{{{selector}}})", legend)
    return lines(title, description, unit, one, overrides=[dashed("/^sim /")], **how)


LIVE_SIM = board(
    "galton-live-sim",
    "Galton: Live against simulated",
    """Runs exported by galton export and imported into Prometheus, laid over each other. Choose the time that the export began at.
    Solid: live; dashed: simulated.""",
    [
        ("Requests", [
            imported("Offered", "Requests, by intended send.", "reqps", "galton_run_offered_per_second"),
            imported("Ok", "Requests that ended ok.", "reqps", "galton_run_ended_per_second", 'outcome="ok"'),
            imported(
                "Not ok", "Requests that ended otherwise.", "reqps", "galton_run_ended_per_second", 'outcome!="ok"', "outcome",
            ),
        ]),
        ("Latency", [
            imported(
                "Response time, p50", "Exact percentile of each window; no line where a window does not bear it.", "s",
                "galton_run_response_seconds", 'quantile="0.5"',
            ),
            imported(
                "Response time, p90", "Exact percentile of each window; no line where a window does not bear it.", "s",
                "galton_run_response_seconds", 'quantile="0.9"',
            ),
            imported(
                "Overhead, p50", "Time at the load balancer outside of the serving attempt. 0 in a simulation without a machine profile.",
                "s", "galton_run_overhead_seconds", 'quantile="0.5"',
            ),
        ]),
        ("Balancing", [
            imported("Retries", "Attempts after the first, by intended send of their request.", "ops", "galton_run_retries_per_second"),
            imported("Refusals", "Attempts that a target refused, by their dispatch.", "ops", "galton_run_refusals_per_second"),
            imported("In flight", "Slots taken, mean of each bucket.", "short", "galton_run_in_flight"),
        ]),
        ("Fleet", [
            imported("Targets", "Ready targets, mean of each bucket.", "short", "galton_run_targets", width=12),
            imported("Free slots", "Free slots of ready targets, mean of each bucket.", "short", "galton_run_free_slots", width=12),
        ]),
    ],
    variables=[SCENARIO, RUN],
    time="now-12h",
    refresh="",
)

BOARDS = {
    "overview": OVERVIEW,
    "targets": TARGETS,
    "balancing": BALANCING,
    "autoscaling": AUTOSCALING,
    "live-against-simulated": LIVE_SIM,
}
