"""WsgiDAV, as it is recommended (with Cheroot), on an empty folder: `webdav_site.py PORT FOLDER`."""
import os, sys

from cheroot.wsgi import Server
from wsgidav.wsgidav_app import WsgiDAVApp

os.makedirs(sys.argv[2], exist_ok=True)
settings = {'provider_mapping': {'/': sys.argv[2]}, 'simple_dc': {'user_mapping': {'*': True}}, 'verbose': 0,
            'logging': {'enable': False}}
Server(('127.0.0.1', int(sys.argv[1])), WsgiDAVApp(settings)).start()
