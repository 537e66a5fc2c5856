"""Lists the types of other crates in the public API, and compares the list.

    foreign_types.py RUSTDOC_JSON ALLOWED

RUSTDOC_JSON is what `rustdoc --output-format json` wrote. Only what has been the same
in every version of that format is relied on: an item of the crate has an `inner`; a
type or trait in it is an object with an `id`, whose crate and path stand in `paths`.

ALLOWED has a path on each line; `#` begins a comment. Paths are those of definition:
`http::header::map::HeaderMap`. `std`, `core` and `alloc` are always allowed.

Exits with 1 where a type is not in the list, or where one in the list is not met.
"""

import json
import sys

ALWAYS = {"std", "core", "alloc"}


def ids(node):
    """Yields the ids of all types and traits that are named somewhere in `node`."""
    if isinstance(node, dict):
        if "id" in node and ("path" in node or "name" in node):
            yield node["id"]
        for child in node.values():
            yield from ids(child)
    elif isinstance(node, list):
        for child in node:
            yield from ids(child)


def is_written(item):
    """Says whether somebody wrote the item: not the compiler, not a blanket impl."""
    impl = item["inner"].get("impl", {})
    return not (impl.get("is_synthetic") or impl.get("blanket_impl"))


def foreign(doc):
    """Returns each foreign path, and the items that name it."""
    found = {}
    for item in doc["index"].values():
        if item["crate_id"] != 0 or not is_written(item):
            continue
        for id in ids(item["inner"]):
            told = doc["paths"].get(str(id))
            if told is None or told["crate_id"] == 0:
                continue
            crate = doc["external_crates"][str(told["crate_id"])]["name"]
            if crate not in ALWAYS:
                where = item.get("name") or f"impl at {(item.get('span') or {}).get('filename')}"
                found.setdefault("::".join(told["path"]), set()).add(where)
    return found


def main():
    with open(sys.argv[1]) as file:
        found = foreign(json.load(file))
    with open(sys.argv[2]) as file:
        allowed = {line.split("#")[0].strip() for line in file} - {""}
    if not found:
        sys.exit("no foreign type at all: the format of rustdoc's JSON has changed")
    for path in sorted(found.keys() - allowed):
        print(f"not allowed: {path}, in {', '.join(sorted(found[path])[:5])}")
    for path in sorted(allowed - found.keys()):
        print(f"allowed, but not met: {path}")
    sys.exit(found.keys() != allowed)


if __name__ == "__main__":
    main()
