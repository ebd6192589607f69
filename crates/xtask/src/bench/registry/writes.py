"""Writes to Layer0's registry and to a server that says yes to everything, in turns, by the clients of the script that measures
registries; and in turns with both the files alone that images consist of. Says on stdout what it came to, as JSON."""
import argparse
import importlib.util
import json
import os
import time


def main():
    ap = argparse.ArgumentParser()
    for name in ("script", "limit", "ours", "credential", "files"):
        ap.add_argument(name)
    for name in ("rounds", "images", "tags", "repos"):
        ap.add_argument("--" + name, type=int, required=True)
    said = ap.parse_args()
    spec = importlib.util.spec_from_file_location("registry_bench", said.script)
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)

    def subject(url, credential):
        cfg = argparse.Namespace(bearer=None, insecure=False, timeout=120.0, token_auth=False, basic=credential)
        bench.set_base(cfg, url)
        return cfg

    limit, ours = subject(said.limit, None), subject(said.ours, said.credential)
    first, image = bench.Client(ours), bench.Image(1, 1024)
    image.push(first, "turns/seed", "seed")
    config = image.blobs[-1][0]
    empty = bench.make_manifest((config, len(image.config)), [])

    def images(client, items):
        took = []
        for tag, item in items:
            begun = time.perf_counter()
            item.push(client, "turns/small", tag)
            took.append(time.perf_counter() - begun)
        return took

    def files(_, items):
        """What a registry that keeps each blob in a file of its own has to do at least: write it, sync it, name it, sync the name."""
        for _, item in items:
            for digest, data in item.blobs:
                hexadecimal = digest.partition(":")[2]
                staged, directory = os.path.join(said.files, hexadecimal), os.path.join(said.files, hexadecimal[:2])
                os.makedirs(directory, exist_ok=True)
                file = os.open(staged, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
                os.write(file, data)
                os.fsync(file)
                os.close(file)
                os.rename(staged, os.path.join(directory, hexadecimal))
                names = os.open(directory, os.O_RDONLY)
                os.fsync(names)
                os.close(names)

    def tags(client, items):
        for tag in items:
            bench.put_manifest(client, "turns/seed", tag, image.manifest)

    def repositories(client, items):
        for name in items:
            bench.mount(client, name, config, "turns/seed", image.config)
            bench.put_manifest(client, name, "latest", empty)

    seen = {"limit_images_s": [], "files_images_s": [], "images_s": [], "limit_put_s": [], "tags_s": [], "repos_s": []}
    waits = []

    def turn(name, cfg, work, items):
        os.sync()
        wall, took, _ = bench.fan_out(cfg, work, items, 16)
        seen[name].append(len(items) / wall)
        return took

    for number in range(said.rounds):
        new = [(f"r{number}-{i}", bench.Image(5, 64 * 1024)) for i in range(said.images)]
        turn("limit_images_s", limit, images, new)
        turn("files_images_s", limit, files, new)
        waits += turn("images_s", ours, images, new)
        new = [f"r{number}-{i:06d}" for i in range(said.tags)]
        turn("limit_put_s", limit, tags, new)
        turn("tags_s", ours, tags, new)
        turn("repos_s", ours, repositories, [f"turns/r{number}/n{i // 100:03d}/r{i:06d}" for i in range(said.repos)])
    sent, kept = seen["limit_images_s"], seen["files_images_s"]
    # One after the other: who sends and who keeps share the machine's cores.
    seen["sent_and_kept_images_s"] = [1 / (1 / one + 1 / other) for one, other in zip(sent, kept)]
    figures = {name: round(bench.median(rates), 1) for name, rates in seen.items()}
    print(json.dumps({**figures, "image_p99_ms": round(bench.pct(waits, 99) * 1e3, 1)}))


main()
