"""What verify.sh asks of a testbed that is up. Each command exits with 0 if it holds, and says in its last line what it found."""

import argparse
import collections
import http.client
import json
import sys
import time
import urllib.parse
import urllib.request

# What `balanced` sends.
REQUESTS = 60
# Of the front door, and of the proxies.
PASSED, RECEIVED = "galton_front_connections_total", "galton_proxy_received_total"
# Once a second.
SCRAPED_WITHIN_S = 5
# What is scraped whoever the scaler knows of.
ALWAYS = {"front": "front:9100", "loadgen": "loadgen:9464"}


def get(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)


def query(args, expression):
    url = args.prometheus + "/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    return get(url)["data"]["result"]


def must(condition, why):
    if not condition:
        sys.exit(why)


def by_proxy(args, metric):
    return {series["metric"]["proxy"]: float(series["value"][1]) for series in query(args, f"sum by (proxy) ({metric})")}


def grown(args, metric, before, enough):
    """By how much each proxy's counter has grown: as soon as that is enough, or when it should have been scraped."""
    until = time.monotonic() + SCRAPED_WITHIN_S
    while True:
        growth = {proxy: now - before.get(proxy, 0) for proxy, now in by_proxy(args, metric).items()}
        if enough(growth) or time.monotonic() > until:
            return growth
        time.sleep(0.2)


def balanced(args):
    """Requests on fresh connections through the front door reach several targets, evenly over every proxy."""
    # The front door has these connections alone; at the proxies, the load generator's requests come on top.
    hosts = [str(host["host"]) for host in get(args.scaler + "/v1/hosts")]
    passed, received = by_proxy(args, PASSED), by_proxy(args, RECEIVED)
    must(set(hosts) <= set(passed) & set(received), f"not scraped yet: {hosts}, {sorted(passed)}, {sorted(received)}")
    served, failures = collections.Counter(), 0
    for _ in range(REQUESTS):
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(args.front).netloc, timeout=10)
        connection.request("GET", "/", headers={"galton-hold-ns": "20000000", "galton-cpu": "1"})
        answer = connection.getresponse()
        answer.read()
        failures += answer.status != 200
        served[answer.headers.get("galton-target")] += 1
        connection.close()
    must(failures == 0, f"{failures} of {REQUESTS} failed")
    must(len(served) >= 2, f"all by {dict(served)}")
    passed = grown(args, PASSED, passed, lambda growth: sum(growth.values()) >= REQUESTS)
    uneven = [proxy for proxy in hosts if passed.get(proxy, 0) < REQUESTS / len(hosts) / 2]
    must(not uneven, f"the front door passed too little on to proxies {uneven}: {passed}")
    received = grown(args, RECEIVED, received, lambda growth: all(growth.get(proxy, 0) >= passed[proxy] for proxy in hosts))
    lost = [proxy for proxy in hosts if received.get(proxy, 0) < passed[proxy]]
    must(not lost, f"not all that was passed on was received by proxies {lost}: {passed}, {received}")
    print(f"{REQUESTS} requests over {len(hosts)} proxies and {len(served)} targets, at most {max(served.values())} by one target")


def scaled_up(args):
    """More targets than at first were ready at some time, and each proxy has sent requests to one of those."""
    first = len([t for t in get(args.scaler + "/v1/targets")["targets"] if t["target"] in ("t-001", "t-002")])
    peak = query(args, 'max_over_time(sum(galton_scaler_targets{state="ready"})[10m:1s])')
    must(peak and float(peak[0]["value"][1]) > first, f"the fleet never grew: {peak}")
    hosts = {f"proxy-{host['host']}" for host in get(args.scaler + "/v1/hosts")}
    new = query(args, 'sum by (instance) (galton_proxy_attempts_total{target!~"t-00[12]"}) > 0')
    must({series["metric"]["instance"] for series in new} >= hosts, f"of {hosts} only {new}")
    print(f"up to {peak[0]['value'][1]} targets, used by {len(hosts)} proxies")


def discovered(args):
    """Prometheus scrapes, with success, exactly what the scaler says is there, the front door and the load generator."""
    groups = get(args.scaler + "/v1/prometheus")
    wanted = {group["labels"]["instance"]: address for group in groups for address in group["targets"]} | ALWAYS
    active = get(args.prometheus + "/api/v1/targets?state=active")["data"]["activeTargets"]
    found = {one["labels"]["instance"]: one["discoveredLabels"]["__address__"] for one in active}
    must(found == wanted, f"only there: {sorted(wanted.items() - found.items())}, only scraped: {sorted(found.items() - wanted.items())}")
    down = sorted(one["labels"]["instance"] for one in active if one["health"] != "up")
    must(not down, f"cannot be scraped: {down}")
    print(f"{len(wanted)} processes")


def hosts(args):
    there = get(args.scaler + "/v1/hosts")
    must(len(there) == int(args.value), f"{len(there)} hosts: {there}")
    print(f"{len(there)} hosts, numbered {[host['host'] for host in there]}")


def one_map(args):
    """With least connections over one map no target ever holds more than its limit, and so none refuses."""
    refused = query(args, 'sum(galton_scaler_target_requests_total{outcome="refused"})')
    accepted = query(args, 'sum(galton_scaler_target_requests_total{outcome="accepted"})')
    must(accepted and float(accepted[0]["value"][1]) > 100, f"too few requests: {accepted}")
    must(not refused or float(refused[0]["value"][1]) == 0, f"refused: {refused}")
    print(f"{accepted[0]['value'][1]} accepted, none refused")


def initial_fleet(args):
    targets = get(args.scaler + "/v1/targets")["targets"]
    ready = sorted(target["target"] for target in targets if target["state"] == "ready")
    must({"t-001", "t-002"} <= set(ready), f"ready: {ready}")
    print(f"{len(ready)} ready")


def outcomes(args):
    series = query(args, "galton_load_requests_total")
    counts = {one["metric"]["outcome"]: float(one["value"][1]) for one in series}
    counts["sent"] = float(query(args, "galton_load_sent_total")[0]["value"][1])
    counts["in_flight"] = float(query(args, "galton_load_in_flight")[0]["value"][1])
    return counts


def books(args):
    print(json.dumps(outcomes(args)))


def losses(args):
    """Something was lost, nothing vanished: sent = ended + in flight, as the load generator counts them."""
    with open(args.value, encoding="utf-8") as file:
        before = json.load(file)
    now = outcomes(args)
    lost = sum(now[name] - before[name] for name in ("failed", "rejected", "timed_out"))
    ended = sum(now[name] for name in ("ok", "rejected", "timed_out", "failed", "unfinished"))
    must(now["ok"] > before["ok"], f"nothing was served: {now}")
    must(lost > 0, f"nothing was lost: {before} {now}")
    must(now["sent"] == ended + now["in_flight"], f"does not add up: {now}")
    print(f"{lost:.0f} lost, {now['ok'] - before['ok']:.0f} served since")


def main():
    commands = {function.__name__.replace("_", "-"): function
                for function in (balanced, scaled_up, discovered, hosts, one_map, initial_fleet, books, losses)}
    parser = argparse.ArgumentParser()
    parser.add_argument("--front", required=True)
    parser.add_argument("--scaler", required=True)
    parser.add_argument("--prometheus", required=True)
    parser.add_argument("command", choices=commands)
    parser.add_argument("value", nargs="?")
    args = parser.parse_args()
    commands[args.command](args)


if __name__ == "__main__":
    main()
