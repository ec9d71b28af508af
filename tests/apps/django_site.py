"""A Django site with the admin, in one file: `django_site.py PORT FOLDER`. It runs on Django 2.2 and on Django 5."""
import os, socketserver, sys
from wsgiref import simple_server

PORT, FOLDER = int(sys.argv[1]), sys.argv[2]

import django
from django.conf import settings

settings.configure(
    SECRET_KEY='not a secret', DEBUG=False, ALLOWED_HOSTS=['shop.example.com', '127.0.0.1'], ROOT_URLCONF=__name__,
    # Translations of Django 2.2 need a Python that is older than 3.11.
    USE_I18N=False, USE_TZ=True, DEFAULT_AUTO_FIELD='django.db.models.AutoField', STATIC_URL='/static/',
    INSTALLED_APPS=['django.contrib.' + name for name in ('admin', 'auth', 'contenttypes', 'sessions', 'messages')],
    MIDDLEWARE=['django.middleware.security.SecurityMiddleware', 'django.contrib.sessions.middleware.SessionMiddleware',
                'django.middleware.common.CommonMiddleware', 'django.middleware.csrf.CsrfViewMiddleware',
                'django.contrib.auth.middleware.AuthenticationMiddleware', 'django.contrib.messages.middleware.MessageMiddleware'],
    TEMPLATES=[{'BACKEND': 'django.template.backends.django.DjangoTemplates', 'APP_DIRS': True, 'OPTIONS': {'context_processors': [
        'django.template.context_processors.request', 'django.contrib.auth.context_processors.auth',
        'django.contrib.messages.context_processors.messages']}}],
    DATABASES={'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': os.path.join(FOLDER, 'site.sqlite3')}},
    PASSWORD_HASHERS=['django.contrib.auth.hashers.MD5PasswordHasher'],
    # What a site behind a proxy that ends TLS needs.
    SECURE_PROXY_SSL_HEADER=('HTTP_X_FORWARDED_PROTO', 'https'), SESSION_COOKIE_SECURE=True, CSRF_COOKIE_SECURE=True,
)
django.setup()

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import path

urlpatterns = [
    path('admin/', admin.site.urls),
    path('version', lambda request: HttpResponse(django.get_version())),
    path('go', lambda request: HttpResponseRedirect(request.build_absolute_uri('/done'))),
    path('client', lambda request: HttpResponse(request.META['HTTP_X_REAL_IP'] + ' ' + request.scheme + ' ' + request.get_host())),
]


class Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    daemon_threads = True


class Quiet(simple_server.WSGIRequestHandler):
    def log_message(self, *_):
        pass


call_command('migrate', verbosity=0)
get_user_model().objects.create_superuser('alice', 'alice@example.com', 'correct horse')
simple_server.make_server('127.0.0.1', PORT, get_wsgi_application(), Server, Quiet).serve_forever()
