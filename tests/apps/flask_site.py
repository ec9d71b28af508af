"""A Flask application with one page for each task: `flask_site.py PORT NAME PROXIES`. NAME is part of its responses; behind so many
proxies does it stand."""
import os, sys, time

from flask import Flask, Response, jsonify, redirect, request, session, url_for
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.serving import WSGIRequestHandler, make_server

NAME = sys.argv[2]
app = Flask(__name__)
app.secret_key = 'not a secret'
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=int(sys.argv[3]), x_proto=1, x_host=1, x_prefix=1)
METHODS = ['GET', 'POST', 'PUT', 'DELETE']


@app.get('/cart')
def cart():
    session['seen'] = True
    return '<a href="%s">one</a> <a href="%s">two</a>' % (url_for('item', number=7), url_for('item', number=7, _external=True))


@app.get('/item/<int:number>')
def item(number):
    return 'item %d' % number


@app.get('/leave')
def leave():
    return redirect(url_for('cart'))


@app.get('/health')
def health():
    return 'ok'


@app.get('/reports/slow')
@app.get('/slow')
def slow():
    time.sleep(1.5)
    return 'a report'


@app.get('/events/stream')
def stream():
    def events():
        for number in range(3):
            yield 'data: %d\n\n' % number
            time.sleep(0.4)
    return Response(events(), content_type='text/event-stream')


@app.get('/webhooks/busy')
@app.get('/busy')
def busy():
    return jsonify(state='busy', queue=17), 503, {'X-Queue': '17'}


@app.post('/cart/pay')
def pay():
    return jsonify(message='The balance is too low.', code='LOW_BALANCE', balance=12, items=['apple']), 422


@app.get('/broken')
def broken():
    raise RuntimeError('postgres://shop:hunter2@10.0.0.5/shop')


@app.get('/flaky')
def flaky():
    return ('sorry', 503) if NAME == 'flaky' else NAME


@app.get('/verify')
def verify():
    """What a forward-auth service does."""
    who = request.headers.get('Authorization')
    if who == 'Bearer alice':
        return '', 204, {'X-User': 'alice'}
    if who:
        return '', 403
    return redirect('https://login.example.com/?next=' + request.headers['X-Forwarded-Uri'])


@app.route('/', defaults={'path': ''}, methods=METHODS)
@app.route('/<path:path>', methods=METHODS)
def echo(path):
    headers = {name.lower(): value for name, value in request.headers}
    seen = {'app': NAME, 'method': request.method, 'target': request.environ['RAW_URI'], 'headers': headers, 'remote': request.remote_addr,
            'size': len(request.get_data()), 'url': request.url, 'pid': os.getpid()}
    return jsonify(seen), 200, {'X-Powered-By': 'flask', 'X-App': NAME}


class Quiet(WSGIRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log(self, *_):
        pass


make_server('127.0.0.1', int(sys.argv[1]), app, threaded=True, request_handler=Quiet).serve_forever()
