"""A Django site: `GET /ACCOUNT_ID` in a view, in an asynchronous view, or in one that uses `sync_to_async`.

The last digit of the account id decides which view.
"""

import caller
import django
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import re_path


def view(_: HttpRequest, account_id: str) -> JsonResponse:
    return JsonResponse(caller.names(account_id), safe=False)


async def asynchronous_view(_: HttpRequest, account_id: str) -> JsonResponse:
    return JsonResponse(caller.names(account_id), safe=False)


async def threaded_view(_: HttpRequest, account_id: str) -> JsonResponse:
    return JsonResponse(await sync_to_async(caller.names, thread_sensitive=False)(account_id), safe=False)


urlpatterns = [
    re_path("^(.*[0-4])$", view),
    re_path("^(.*[5-9])$", asynchronous_view),
    re_path("^(.*[a-f])$", threaded_view),
]

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1"], DEBUG=False)
django.setup()
wsgi = get_wsgi_application()
asgi = get_asgi_application()
