"""The second, independent peer: django-oauth-toolkit.

PKCE is required, refresh tokens rotate with reuse protection, client secrets are hashed, no `iss`
in the answer. There is no page: every visitor is logged in and the applications skip consent.

Environment:
  CALLBACKS  comma-separated redirect URIs
  AT_TTL     life of an access token in seconds (default 60)
  GRACE      seconds during which a rotated refresh token is answered with the same new pair (default 0)
  DATA_DIR   folder of the database
Prints `ready URL` once it listens, on a port of the system's choice.
"""

import collections
import json
import os
import pathlib

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": pathlib.Path(os.environ["DATA_DIR"]) / "django.sqlite3",
            "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
        }
    },
    DEBUG=True,
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "oauth2_provider",
    ],
    LOGIN_URL="/login/",
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    OAUTH2_PROVIDER={
        "ACCESS_TOKEN_EXPIRE_SECONDS": int(os.environ.get("AT_TTL", "60")),
        "ALLOWED_REDIRECT_URI_SCHEMES": ["http", "https"],
        "PKCE_REQUIRED": True,
        "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": int(os.environ.get("GRACE", "0")),
        "REFRESH_TOKEN_REUSE_PROTECTION": True,
        "ROTATE_REFRESH_TOKEN": True,
        "SCOPES": {"read": "Read", "write": "Write"},
    },
    # Secrets are hashed as in production, only not slowly.
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="peer",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    USE_TZ=True,
)
django.setup()

from django.contrib.auth import get_user_model, login  # noqa: E402  (needs the settings above)
from django.core.management import call_command  # noqa: E402
from django.core.servers import basehttp  # noqa: E402
from django.http import HttpResponseRedirect, JsonResponse  # noqa: E402
from django.urls import include, path  # noqa: E402
from django.utils.decorators import method_decorator  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from oauth2_provider.models import Application  # noqa: E402
from oauth2_provider.views import RevokeTokenView, TokenView  # noqa: E402

stats = {"granted": collections.Counter(), "refused": collections.Counter(), "revocations": 0}


@method_decorator(csrf_exempt, name="dispatch")
class CountingTokenView(TokenView):
    def post(self, request, *args, **kwargs):
        response = super().post(request, *args, **kwargs)
        if response.status_code == 200:
            stats["granted"][request.POST.get("grant_type")] += 1
        else:
            stats["refused"][json.loads(response.content).get("error")] += 1
        return response


@method_decorator(csrf_exempt, name="dispatch")
class CountingRevokeView(RevokeTokenView):
    def post(self, request, *args, **kwargs):
        stats["revocations"] += 1
        return super().post(request, *args, **kwargs)


def auto_login(request):
    user, _ = get_user_model().objects.get_or_create(username="alice")
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponseRedirect(request.GET["next"])


urlpatterns = [
    path("_stats", lambda _request: JsonResponse(stats)),
    path("login/", auto_login),
    path("o/token/", CountingTokenView.as_view()),
    path("o/revoke_token/", CountingRevokeView.as_view()),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
]

CLIENTS = [
    # client id, secret, type, grant
    ("conf", "conf-secret", Application.CLIENT_CONFIDENTIAL, Application.GRANT_AUTHORIZATION_CODE),
    # Every character that RFC 6749 §2.3.1 form-encodes before Basic.
    ("we:ird id", "s%c+r/e t&=:", Application.CLIENT_CONFIDENTIAL, Application.GRANT_AUTHORIZATION_CODE),
    ("pub", "", Application.CLIENT_PUBLIC, Application.GRANT_AUTHORIZATION_CODE),
    ("cc", "cc-secret", Application.CLIENT_CONFIDENTIAL, Application.GRANT_CLIENT_CREDENTIALS),
]


def main():
    call_command("migrate", verbosity=0)
    for client_id, secret, kind, grant in CLIENTS:
        Application.objects.create(
            authorization_grant_type=grant,
            client_id=client_id,
            client_secret=secret,
            client_type=kind,
            name=client_id,
            redirect_uris=os.environ.get("CALLBACKS", "").replace(",", " "),
            skip_authorization=True,
        )
    basehttp.run(
        "127.0.0.1",
        0,
        basehttp.get_internal_wsgi_application(),
        threading=True,
        on_bind=lambda port: print(f"ready http://127.0.0.1:{port}", flush=True),
    )


if __name__ == "__main__":
    main()
