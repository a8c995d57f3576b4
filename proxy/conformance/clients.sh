#!/usr/bin/env bash
# Clients that people use, through the proxy: curl, Python's http.client, aiohttp, wrk, ab, hey. GET, POST of 10 MB, chunked upload,
# streaming, HEAD, 304, HTTP/1.0, HTTP/2 by prior knowledge; held against what was sent, not against exit codes alone.
#
#   proxy/conformance/clients.sh         all of it, half a minute
#   GALTON=path …                        built already
#
# Prints at last `N passed, N failed`; exit code 1 if one failed.
source "$(dirname "$0")/prepare.sh"
prepare python3:python3 curl:curl wrk:wrk ab:apache2-utils hey:hey aiohttp=python3-aiohttp h11=python3-h11
exec "$python" proxy/conformance/clients.py
