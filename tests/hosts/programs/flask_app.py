"""A Flask application: `GET /ACCOUNT_ID`."""

import caller
from flask import Flask, Response, jsonify

application = Flask(__name__)


@application.get("/<account_id>")
def services(account_id: str) -> Response:
    return jsonify(caller.names(account_id))
