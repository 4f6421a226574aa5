"""Prints the breaking changes of the public API since a revision; run by `nox -s api` at the top of the checkout."""

import sys

import griffe

PACKAGE = "pagerduty_alerting"
# Its interface is the command line.
NOT_PUBLIC = f"{PACKAGE}.cli."


def main(revision: str) -> int:
    """Returns the number of breaks."""
    before = griffe.load_git(PACKAGE, ref=revision)
    breaks = griffe.find_breaking_changes(before, griffe.load(PACKAGE))
    public = [it for it in breaks if not it.obj.canonical_path.startswith(NOT_PUBLIC)]
    for broken in public:
        print(broken.explain(griffe.ExplanationStyle.ONE_LINE))
    return len(public)


if __name__ == "__main__":
    sys.exit(min(1, main(sys.argv[1])))
