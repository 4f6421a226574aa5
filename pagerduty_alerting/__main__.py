"""`python -m pagerduty_alerting`: the command line, if its script is not on the path."""

from pagerduty_alerting.cli import main

if __name__ == "__main__":
    main()
