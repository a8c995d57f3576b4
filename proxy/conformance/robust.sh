#!/usr/bin/env bash
# The proxy under clients and targets that mean it no good: memory, descriptors and the service of others stay within bounds.
#
#   proxy/conformance/robust.sh                  all of it, about three minutes
#   proxy/conformance/robust.sh slow             slowhttptest: slow heads, bodies and reads, beside another client
#   proxy/conformance/robust.sh http2            h2load without an error, nghttp's frames
#   proxy/conformance/robust.sh floods           floods of HTTP/2 frames, written by hand
#   proxy/conformance/robust.sh idle             many idle connections, and active ones beside them
#   proxy/conformance/robust.sh targets          targets that close, break off, say nonsense, never read
#   REQUESTS=100000                              to odd targets; memory is compared from a fifth of them on
#   IDLE=10000 ACTIVE=1000                       connections
#   SLOW_S=10 FLOOD_FRAMES=200000                how long slowhttptest runs; frames of a flood
#   GALTON=path …                                built already
#
# Needs nghttp2, slowhttptest, python3-h11 and python3-hpack, and installs them. Prints at last `N passed, N failed`; exit code 1 if
# one failed. What each check asserts is told in docs/conformance.md.
source "$(dirname "$0")/prepare.sh"
prepare python3:python3 slowhttptest:slowhttptest h2load:nghttp2-client nghttp:nghttp2-client h11=python3-h11 hpack=python3-hpack
exec "$python" proxy/conformance/robust.py "$@"
