"""A Django site, in one file, with one synchronous client for all of its threads: GET /services.

Needs django, and reads the CLOUDFLARE_* variables. Run it with `python examples/service_django.py runserver`, or any
WSGI server with `service_django:application`. A project of several files keeps the client in a module of its own.
"""

import sys

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from pagerduty_alerting import Client, PagerDutyAlertingError

client = Client(timeout=10)  # opens no connection before its first call


def list_services(_: HttpRequest) -> HttpResponse:
    try:
        services = client.list_services()
    except PagerDutyAlertingError as error:  # its text contains no secret
        return JsonResponse({"error": str(error)}, status=502)
    return JsonResponse([{"id": service.id, "name": service.name} for service in services], safe=False)


urlpatterns = [path("services", list_services)]

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1", "localhost", "testserver"], DEBUG=False)
django.setup()
application = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
