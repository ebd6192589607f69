"""Asks for HEADs with the client of the script that measures registries. Reads what to ask for on stdin, as JSON, a line each; answers with
a line each, as JSON, what it came to."""
import argparse
import importlib.util
import json
import sys


def main():
    spec = importlib.util.spec_from_file_location("registry_bench", sys.argv[1])
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    for line in sys.stdin:
        asked = json.loads(line)
        cfg = argparse.Namespace()
        bench.set_base(cfg, asked["url"])
        headers = [("Authorization", "Basic " + asked["credential"])]
        seen = bench.head_load(cfg, "HEAD", [asked["path"]], headers, asked["connections"], asked["seconds"])
        print(json.dumps({name: seen[name] for name in ("req_s", "p99_ms", "errors")}), flush=True)


main()
