"""A Flask service with one synchronous client for all of its threads: GET /services.

Needs flask, and reads the CLOUDFLARE_* variables. Run it in this directory with `flask --app service_flask run`. Under
gunicorn, also with --preload: each forked worker opens its own connections.
"""

from attrs import asdict
from flask import Flask, jsonify
from flask.typing import ResponseReturnValue

from pagerduty_alerting import Client, PagerDutyAlertingError

client = Client(timeout=10)  # opens no connection before its first call
app = Flask(__name__)


@app.get("/services")
def list_services() -> ResponseReturnValue:
    return jsonify([asdict(service) for service in client.list_services()])


@app.errorhandler(PagerDutyAlertingError)
def report_failure(error: PagerDutyAlertingError) -> ResponseReturnValue:
    return jsonify(error=str(error)), 502  # its text contains no secret
