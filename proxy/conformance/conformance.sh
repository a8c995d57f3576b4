#!/usr/bin/env bash
# HTTP of the proxy, byte by byte: vectors/*.txt (HTTP/1.1) and http2_vectors.py (HTTP/2) are sent raw, and what the client got and what
# reached the target is held against what the vector allows. The other side of the proxy is a scaler and targets of this directory; the
# parser is python3-h11.
#
#   proxy/conformance/conformance.sh             all of it, half a minute
#   proxy/conformance/conformance.sh TE.CL obs   vectors whose name or class contains one of the words
#   VERBOSE=1 …                                  the bytes of both sides of what passed, too
#   GALTON=path …                                built already
#
# How to read and to add a vector: docs/conformance.md. Prints at last `N passed, N failed`; exit code 1 if one failed.
source "$(dirname "$0")/prepare.sh"
prepare python3:python3 h11=python3-h11 hpack=python3-hpack
exec "$python" proxy/conformance/conformance.py "$@"
