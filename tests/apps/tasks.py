"""What each page of docs/how-to and docs/applications.md promise, asked of real applications through the gateway. Runs in the environment of the applications."""
import base64, concurrent.futures, contextlib, os, re, shutil, ssl, subprocess, tempfile

import grpc
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as websocket

from harness import APPLICATIONS, BALANCER, NETWORK, OFFICE, OTHER, PAGES, STRANGER, Gateway, blocks, check, equal

TASKS = []


class Task:
    def __init__(self, page, heading, ports, body, replace):
        self.page, self.heading, self.ports, self.body, self.replace = page, heading, ports, body, replace
        self.name = '%s: %s' % (page.removesuffix('.md'), heading)

    def run(self, program, apps):
        self.program, self.apps = program, apps
        self.folder = tempfile.mkdtemp(dir=apps.folder)
        try:
            self.body(self)
        finally:
            shutil.rmtree(self.folder)

    def gateway(self, replace=(), **ports):
        """The gateway of this page. `p8000='flask'`: what the page has at port 8000 is this application."""
        text = blocks()[self.page, self.heading]
        for old, new in [*self.replace, *replace]:
            check('the page has ' + old, old in text)
            text = text.replace(old, new)
        for port, name in {**self.ports, **ports}.items():
            text = text.replace('127.0.0.1:' + port[1:], '127.0.0.1:%d' % self.apps.port[name])
        text = text.replace('/etc/lockgate/tls/', self.apps.folder + '/').replace('/etc/lockgate/', self.folder + '/')
        return Gateway(self.program, self.folder, text)


def task(page, heading, *replace, **ports):
    """Registers the check of a configuration, in which `replace` is replaced."""
    def register(body):
        TASKS.append(Task(page + '.md', heading, ports, body, replace))
        return body
    return register


# Their configurations face no application: tests/it/binary/contract.rs runs those of the page, and .NET is in no registry of these tests.
WITHOUT_APPLICATION = {('test-your-contract.md', 'Write cases'), (APPLICATIONS, 'ASP.NET')}


def every_block_has_a_task():
    tested = {(task.page, task.heading) for task in TASKS}
    wanted = set(blocks()) - WITHOUT_APPLICATION
    if tested != wanted:
        raise SystemExit('FAILED: configurations without a test, or the other way round: %s' % sorted(tested ^ wanted))
    linked = {(page, anchor) for page, anchor in re.findall(r'\]\(([\w-]+\.md)#([\w-]+)\)', open(PAGES + '/README.md').read())}
    anchors = {(page, re.sub(r'[^\w -]', '', heading.lower()).replace(' ', '-')) for page, heading in wanted if page != APPLICATIONS}
    if linked != anchors:
        raise SystemExit('FAILED: tasks that the table does not name, or the other way round: %s' % sorted(linked ^ anchors))


# -- Frameworks

@task('applications', 'Spring', ('/actuator/health', '/app/home'), p8080='tomcat')
def spring(t):
    with t.gateway() as g:
        equal('a page', g.ask('/app/home').status, 200)
        failed = g.ask('/app/fail')
        check('an exception', failed.code == '502 UPSTREAM_ERROR' and 'SELECT' not in failed.text, failed.text)
        equal('a missing page', g.ask('/app/none').code, '404 NOT_FOUND')
        g.logged('IllegalStateException', 'SELECT * FROM orders')


@task('applications', 'Django', p8000='django5')
def django(t):
    with t.gateway() as g:
        equal('the client', g.ask('/client').text, STRANGER + ' http shop.example.com')
        equal('a missing page', g.ask('/none').code, '404 NOT_FOUND')
        equal('a form without its token', g.ask('/admin/login/', 'POST', 'x=1').code, '403 FORBIDDEN')


@task('applications', 'Express', p3000='express')
def express(t):
    with t.gateway() as g:
        equal('a page', g.ask('/hello').text, 'hello')
        failed = g.ask('/broken')
        check('an exception', failed.code == '502 UPSTREAM_ERROR' and 'secret.js' not in failed.text, failed.text)
        check('its server', failed.headers['X-Powered-By'] is None)
        equal('a missing page', g.ask('/none').code, '404 NOT_FOUND')
        equal('an error of the application', g.ask('/me').json['error']['message'], 'You are not signed in.')
        with websocket('ws://127.0.0.1:%d/socket' % g.port) as connection:
            connection.send('one')
            equal('an echo', connection.recv(10), 'echo one')


@task('applications', 'PHP', p8000='php')
def php(t):
    with t.gateway() as g:
        seen = g.ask('/item?id=7').json
        # The leak guard masks what looks like an internal address.
        equal('the client', (len(seen['HTTP_X_REAL_IP']), seen['HTTP_X_FORWARDED_PROTO'], seen['get']), (len(STRANGER), 'http', {'id': '7'}))
        page = g.ask('/warning')
        check('a warning within a page', page.status == 200 and 'the rest of the page' in page.text, page.text)
        check('its path', 'dump.php' not in page.text, page.text)


# -- Hosts and paths

@task('hosts-and-paths', 'Several hosts', p8000='flask', p8001='static')
def several_hosts(t):
    with t.gateway() as g:
        for host in ('shop.example.com', 'a.b.shop.example.com'):
            seen = g.ask('/', host=host).json
            equal('the application and its host', (seen['app'], seen['headers']['host'], seen['url']), ('flask', host, 'http://%s/' % host))
        page = g.ask('/page.txt', host='assets.example.com')
        equal('a file', (page.status, page.text, page.headers['Accept-Ranges']), (200, 'a static page\n', 'bytes'))
        part = g.ask('/page.txt', host='assets.example.com', Range='bytes=2-7')
        equal('a part of it', (part.status, part.text, part.headers['Content-Range']), (206, 'static', 'bytes 2-7/14'))
        same = g.ask('/page.txt', host='assets.example.com', If_None_Match=page.headers['ETag'])
        equal('the same file again', (same.status, same.text, same.headers['ETag']), (304, '', page.headers['ETag']))
        beyond = g.ask('/page.txt', host='assets.example.com', Range='bytes=90-')
        equal('a range beyond the end', (beyond.status, beyond.headers['Content-Range']), (416, 'bytes */14'))
        head = g.ask('/page.txt', 'HEAD', host='assets.example.com')
        equal('HEAD', (head.status, head.headers['Content-Length'], head.text), (200, '14', ''))
        equal('a missing file', g.ask('/none', host='assets.example.com').code, '404 NOT_FOUND')
        equal('another host', g.ask('/', host='other.example.org').code, '404 ROUTE_NOT_FOUND')


@task('hosts-and-paths', 'Under a prefix', p8000='flask')
def under_a_prefix(t):
    with t.gateway() as g:
        page = g.ask('/shop/cart')
        equal('links', re.findall('href="([^"]*)"', page.text), ['/shop/item/7', 'http://shop.example.com/shop/item/7'])
        check('the path of the cookie', 'path=/shop' in page.headers['Set-Cookie'].lower(), page.headers['Set-Cookie'])
        equal('a link', g.ask('/shop/item/7').text, 'item 7')
        equal('a redirect', g.ask('/shop/leave').headers['Location'], '/shop/cart')
        equal('another path', g.ask('/shopping').code, '404 ROUTE_NOT_FOUND')


@task('hosts-and-paths', 'An application with a context path', p8080='tomcat')
def context_path(t):
    host = 'orders.example.com'
    with t.gateway() as g:
        home = g.ask('/home', host=host)
        equal('the page', home.text, 'true http://orders.example.com/app/home')
        check('the path of the cookie', re.search(r'JSESSIONID=\w+; Path=/(;|$)', home.headers['Set-Cookie']), home.headers['Set-Cookie'])
        equal('the session', g.ask('/home', host=host, Cookie=home.cookies()).text[:5], 'false')
        equal('a redirect', g.ask('/login', host=host).headers['Location'], '/home')
        equal('an absolute redirect', g.ask('/absolute', host=host).headers['Location'], 'http://orders.example.com/home')
        equal('an exception', g.ask('/fail', host=host).code, '502 UPSTREAM_ERROR')
        equal('a missing page', g.ask('/none', host=host).code, '404 NOT_FOUND')


@task('hosts-and-paths', 'Rewrite a path', p8000='flask')
def rewrite(t):
    with t.gateway() as g:
        equal('a capture', g.ask('/customers/7/orders').json['target'], '/orders?customer=7')
        equal('the rest', g.ask('/v1/items?page=2').json['target'], '/api/v2/items?page=2')


@task('hosts-and-paths', 'robots.txt and a health path', p8000='flask')
def fixed_responses(t):
    with t.gateway() as g:
        robots = g.ask('/robots.txt')
        equal('robots.txt', (robots.status, robots.text), (200, 'User-agent: *\nDisallow: /\n'))
        check('its type', robots.headers['Content-Type'].startswith('text/plain'), robots.headers['Content-Type'])
        equal('the health path', (g.ask('/healthz').status, g.ask('/healthz').text), (200, 'ok\n'))
        equal('other paths', g.ask('/x').json['app'], 'flask')


@task('hosts-and-paths', 'Block paths', p8000='flask')
def blocked(t):
    with t.gateway() as g:
        for path in ('/.git', '/.git/config', '/.env', '/wp-admin/', '/wp-login.php', '/a/dump.sql'):
            equal(path, g.ask(path).code, '404 NOT_FOUND')
        equal('other paths', g.ask('/.well-known/x').json['app'], 'flask')


@task('hosts-and-paths', 'Legacy paths by regular expression', p8000='php', p8001='flask')
def legacy_php(t):
    with t.gateway() as g:
        seen = g.ask('/shop/item.php?id=7&name=%ED%95%9C', source=OTHER, Client_IP='203.0.113.9', X_Forwarded_For='203.0.113.9').json
        equal('host and query', (seen['HTTP_HOST'], seen['REQUEST_URI'], seen['get']['name']),
              ('shop.example.com', '/shop/item.php?id=7&name=%ED%95%9C', '\ud55c'))
        equal('the client', (seen['HTTP_X_REAL_IP'], seen['HTTP_X_FORWARDED_FOR'], seen.get('HTTP_CLIENT_IP')), (OTHER, OTHER, None))
        equal('everything else', g.ask('/shop/item').json['app'], 'flask')


@task('hosts-and-paths', 'WebDAV', p8000='webdav')
def webdav(t):
    host = 'files.example.com'
    with t.gateway() as g:
        equal('PUT', g.ask('/a.txt', 'PUT', 'one', host).status, 201)
        equal('MKCOL', g.ask('/d', 'MKCOL', host=host).status, 201)
        found = g.ask('/', 'PROPFIND', host=host, Depth='1')
        equal('PROPFIND', found.status, 207)
        check('its paths', '/a.txt</' in found.text and '/d/</' in found.text, found.text[:600])
        for scheme, target in (('http', '/d/b.txt'), ('https', '/d/c.txt')):
            copied = g.ask('/a.txt', 'COPY', host=host, Destination='%s://%s%s' % (scheme, host, target))
            equal('COPY to ' + scheme, copied.status, 201)
            equal('the copy', g.ask(target, host=host).text, 'one')
        moved = g.ask('/a.txt', 'MOVE', host=host, Destination='https://%s/d/b.txt' % host, Overwrite='F')
        equal('MOVE onto a file', moved.status, 412)
        equal('MOVE', g.ask('/a.txt', 'MOVE', host=host, Destination='/d/e%20f.txt').status, 201)
        equal('the file', g.ask('/d/e%20f.txt', host=host).text, 'one')
        elsewhere = g.ask('/d/b.txt', 'MOVE', host=host, Destination='http://elsewhere.example.org/b.txt')
        check('MOVE to another host', elsewhere.status >= 400, elsewhere.status)
        equal('the file after it', g.ask('/d/b.txt', host=host).text, 'one')
    with t.gateway(p8000='dav') as g:
        equal('PUT in nginx', g.ask('/a.txt', 'PUT', 'one', host).status, 201)
        equal('MOVE in nginx', g.ask('/a.txt', 'MOVE', host=host, Destination='https://%s/b.txt' % host).status, 204)
        equal('the file in nginx', g.ask('/b.txt', host=host).text, 'one')
    with t.gateway(p8000='tomcat') as g:
        equal('PUT in Tomcat', g.ask('/dav/a.txt', 'PUT', 'one', host).status, 201)
        equal('MOVE in Tomcat', g.ask('/dav/a.txt', 'MOVE', host=host, Destination='https://%s/dav/b.txt' % host).status, 201)
        equal('the file in Tomcat', g.ask('/dav/b.txt', host=host).text, 'one')


# -- Redirects

@task('redirects', 'www to the bare domain', p8000='flask')
def www(t):
    with t.gateway() as g:
        moved = g.ask('/cart?id=7', host='www.example.com')
        equal('the redirect', (moved.status, moved.headers['Location']), (301, 'http://example.com/cart?id=7'))
        equal('the bare domain', g.ask('/cart?id=7', host='example.com').status, 200)


@task('redirects', 'http to https', NETWORK, p8000='flask')
def to_https(t):
    with t.gateway() as g:
        moved = g.ask('/cart?id=7', 'POST', 'x', source=BALANCER, X_Forwarded_Proto='http')
        equal('the redirect', (moved.status, moved.headers['Location']), (308, 'https://shop.example.com/cart?id=7'))
        safe = g.ask('/x', source=BALANCER, X_Forwarded_Proto='https')
        equal('over https', (safe.status, safe.headers['Strict-Transport-Security']), (200, 'max-age=31536000'))
        equal('a stranger who says https', g.ask('/x', X_Forwarded_Proto='https').status, 308)


@task('redirects', 'Moved pages', p8000='flask')
def moved_pages(t):
    with t.gateway() as g:
        moved = g.ask('/blog/2019/hello')
        equal('the redirect', (moved.status, moved.headers['Location']), (301, 'https://blog.example.com/hello?from=2019'))


# -- Behind a load balancer

@task('load-balancer', 'Trusted load balancer', NETWORK)
def trusted_balancer(t):
    behind = {'source': BALANCER, 'X_Forwarded_Proto': 'https', 'X_Forwarded_For': '198.51.100.7'}
    for name, version in (('django2', '2.2.'), ('django5', '5.')):
        with t.gateway(p8000=name) as g:
            check('the version', g.ask('/version').text.startswith(version), name)
            django_login(g, behind, name)
    with t.gateway(p8000='express') as g:
        entered = g.ask('/login', 'POST', 'user=alice', Content_Type='application/x-www-form-urlencoded', **behind)
        equal('the login of Express', (entered.status, entered.headers['Location']), (302, '/me'))
        check('its cookie', 'Secure' in (entered.headers['Set-Cookie'] or ''), entered.headers['Set-Cookie'])
        equal('its session', g.ask('/me', Cookie=entered.cookies(), **behind).json,
              {'user': 'alice', 'ip': '198.51.100.7', 'protocol': 'https', 'host': 'shop.example.com'})
        equal('without a session', g.ask('/me', **behind).code, '401 UNAUTHORIZED')
        equal('an exception of Express', g.ask('/broken', **behind).code, '502 UPSTREAM_ERROR')
    with t.gateway(p8000='behind') as g:
        seen = g.ask('/x', **behind).json
        equal('the client of Flask', (seen['remote'], seen['url']), ('198.51.100.7', 'https://shop.example.com/x'))
    with t.gateway(p8000='tomcat') as g:
        equal('Tomcat', g.ask('/app/home', **behind).text, 'true https://shop.example.com/app/home')
        equal('its redirect', g.ask('/app/absolute', **behind).headers['Location'], 'https://shop.example.com/app/home')


def django_login(g, behind, name):
    equal('a redirect of ' + name, g.ask('/go', **behind).headers['Location'], 'https://shop.example.com/done')
    equal('the client of ' + name, g.ask('/client', **behind).text, '198.51.100.7 https shop.example.com')
    form = g.ask('/admin/login/?next=/admin/', **behind)
    token = re.search('name="csrfmiddlewaretoken" value="([^"]+)"', form.text)
    check('the form of ' + name, form.status == 200 and token, '%d %s' % (form.status, form.text[:300]))
    body = 'username=alice&password=correct+horse&next=/admin/&csrfmiddlewaretoken=' + token[1]
    browser = {'Content_Type': 'application/x-www-form-urlencoded', 'Origin': 'https://shop.example.com',
               'Referer': 'https://shop.example.com/admin/login/', 'Cookie': form.cookies()}
    entered = g.ask('/admin/login/', 'POST', body, **behind, **browser)
    equal('the login of ' + name, (entered.status, entered.headers['Location']), (302, '/admin/'))
    page = g.ask('/admin/', Cookie=entered.cookies(), **behind)
    check('the admin of ' + name, page.status == 200 and 'Site administration' in page.text, page.status)
    refused = g.ask('/admin/login/', 'POST', body, **behind, **{**browser, 'Origin': 'https://evil.example.org', 'Referer': 'https://evil.example.org/'})
    equal('a forged form of ' + name, refused.code, '403 FORBIDDEN')
    equal('a stranger at ' + name, g.ask('/client', X_Forwarded_Proto='https', X_Forwarded_For='9.9.9.9').text, STRANGER + ' http shop.example.com')


@task('load-balancer', 'PROXY protocol', NETWORK, p8000='flask')
def proxy_protocol(t):
    request = 'GET / HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n'
    with t.gateway() as g:
        told = g.raw('PROXY TCP4 198.51.100.9 127.0.0.1 4444 80\r\n' + request, BALANCER)
        check('the client', '"remote":"198.51.100.9"' in told, told)
        check('without the header', ' 200 ' not in g.raw(request, BALANCER))


# -- Releases and maintenance

@task('releases', 'Canary by weight', p8000='flask', p8001='canary')
def by_weight(t):
    with t.gateway() as g:
        equal('of 100', [g.ask('/').headers['X-App'] for _ in range(100)].count('canary'), 10)


@task('releases', 'Canary by header', p8000='flask', p8001='canary')
def by_header(t):
    with t.gateway() as g:
        equal('with the header', g.ask('/', X_Canary='1').headers['X-App'], 'canary')
        equal('without it', [g.ask('/').headers['X-App'], g.ask('/', X_Canary='0').headers['X-App']], ['flask'] * 2)


@task('releases', 'Sticky canary', p8000='flask', p8001='canary')
def sticky(t):
    with t.gateway() as g:
        first = {answer.headers['X-App']: answer.cookies() for answer in (g.ask('/') for _ in range(30))}
        equal('both', sorted(first), ['canary', 'flask'])
        for name, cookie in first.items():
            check('the cookie', cookie.startswith('variant=') and name not in cookie, cookie)
            equal('again', {g.ask('/', Cookie=cookie).headers['X-App'] for _ in range(20)}, {name})


@task('releases', 'Maintenance window', NETWORK, p8000='flask')
def maintenance(t):
    with t.gateway() as g:
        closed = g.ask('/invoices/7')
        equal('clients', closed.code, '503 UPSTREAM_UNAVAILABLE')
        check('when to retry', closed.headers['Retry-After'], closed.headers)
        check('browsers', '<html' in g.ask('/invoices/7', Accept='text/html').text)
        equal('the office', g.ask('/invoices/7', source=OFFICE).status, 200)
        equal('other paths', g.ask('/').status, 200)


# -- Access

@task('access', 'Only the office network', NETWORK, p8000='flask')
def office(t):
    with t.gateway() as g:
        equal('a stranger', g.ask('/admin/x').code, '403 FORBIDDEN')
        equal('a stranger who lies', g.ask('/admin/x', X_Forwarded_For=OFFICE, X_Real_IP=OFFICE).code, '403 FORBIDDEN')
        equal('the office', g.ask('/admin/x', source=OFFICE).status, 200)
        equal('other paths', g.ask('/').status, 200)


@task('access', 'Name and password', p8000='flask')
def basic(t):
    hashed = subprocess.run(['php', '-r', 'echo password_hash("open sesame", PASSWORD_BCRYPT);'], text=True, stdout=subprocess.PIPE, check=True)
    with open(t.folder + '/htpasswd', 'w') as file:
        file.write('alice:%s\n' % hashed.stdout)
    os.chmod(t.folder + '/htpasswd', 0o600)

    def says(text):
        return 'Basic ' + base64.b64encode(text.encode()).decode()
    with t.gateway() as g:
        asked = g.ask('/')
        equal('without a password', (asked.code, asked.headers['WWW-Authenticate'].split(',')[0]), ('401 UNAUTHORIZED', 'Basic realm="Staging"'))
        equal('a wrong one', g.ask('/', Authorization=says('alice:open')).code, '401 UNAUTHORIZED')
        equal('who is nobody', g.ask('/', Authorization=says('bob:open sesame')).code, '401 UNAUTHORIZED')
        seen = g.ask('/', Authorization=says('alice:open sesame'), X_User='root').json['headers']
        equal('the right one', (seen['x-user'], 'authorization' in seen), ('alice', False))
        equal('a page with its images', {g.ask('/', Authorization=says('alice:open sesame')).status for _ in range(40)}, {200})
        check('too many requests', 429 in [g.ask('/').status for _ in range(300)], 'none of 300')


@task('access', 'Let a service decide', p8000='flask', p9000='canary')
def forward_auth(t):
    with t.gateway() as g:
        seen = g.ask('/orders?id=7', Authorization='Bearer alice', X_User='root').json
        equal('who may enter', (seen['app'], seen['headers']['x-user']), ('flask', 'alice'))
        equal('who may not', g.ask('/', Authorization='Bearer bob').code, '403 FORBIDDEN')
        login = g.ask('/orders?id=7')
        equal('who must log in', (login.status, login.headers['Location']), (302, 'https://login.example.com/?next=/orders?id=7'))
    with t.gateway(p9000='dead') as g:
        equal('without the service', g.ask('/', Authorization='Bearer alice').code, '503 UPSTREAM_UNAVAILABLE')


@task('access', 'Client certificates', ('tls.crt', 'localhost.crt'), ('tls.key', 'localhost.key'), ('clients.pem', 'ca.pem'), p8000='flask')
def client_certificates(t):
    stranger = ssl.create_default_context(cafile=t.apps.folder + '/ca.pem')
    known = ssl.create_default_context(cafile=t.apps.folder + '/ca.pem')
    known.load_cert_chain(t.apps.folder + '/client.crt', t.apps.folder + '/client.key')
    with t.gateway() as g:
        seen = g.ask('/', context=known, Client_Cert=':Zm9yZ2Vk:').json
        der = ssl.PEM_cert_to_DER_cert(open(t.apps.folder + '/client.crt').read())
        equal('the certificate', seen['headers']['client-cert'], ':%s:' % base64.b64encode(der).decode())
        equal('the scheme', seen['url'], 'https://shop.example.com/')
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            check('without a certificate', g.ask('/', context=stranger).status == 0)


@task('access', 'CORS for one front end', p8000='flask')
def cors(t):
    origin = 'https://app.example.com'
    with t.gateway() as g:
        asked = g.ask('/api/x', 'OPTIONS', Origin=origin, Access_Control_Request_Method='POST', Access_Control_Request_Headers='content-type')
        allowed = {name: asked.headers['Access-Control-Allow-' + name] for name in ('Origin', 'Credentials', 'Methods')}
        check('the preflight', asked.status in (200, 204) and 'X-App' not in asked.headers, asked.status)
        check('what it allows', allowed['Origin'] == origin and allowed['Credentials'] == 'true' and 'POST' in allowed['Methods'], allowed)
        answer = g.ask('/api/x', 'POST', '{}', Origin=origin, Content_Type='application/json')
        equal('a request', (answer.headers['X-App'], answer.headers['Access-Control-Allow-Origin']), ('flask', origin))
        equal('another origin', g.ask('/api/x', Origin='https://evil.example.org').headers['Access-Control-Allow-Origin'], None)
    with t.gateway(p8000='dead') as g:
        failed = g.ask('/api/x', Origin=origin)
        equal('an error', (failed.code, failed.headers['Access-Control-Allow-Origin']), ('502 UPSTREAM_UNREACHABLE', origin))


# -- TLS

@task('tls', 'HTTPS with a certificate', ('tls.crt', 'localhost.crt'), ('tls.key', 'localhost.key'), p8000='flask')
def https(t):
    trusts = ssl.create_default_context(cafile=t.apps.folder + '/ca.pem')
    with t.gateway() as g:
        answer = g.ask('/x', context=trusts)
        equal('over TLS', (answer.json['url'], answer.headers['Strict-Transport-Security']), ('https://shop.example.com/x', 'max-age=31536000'))
        moved = g.ask('/x?id=7')
        equal('without it', (moved.status, moved.headers['Location']), (308, 'https://shop.example.com:%d/x?id=7' % g.tls))


# -- Limits and timeouts

def admitted(g, most, **headers):
    """How many requests are admitted before the first 429, and that."""
    for number in range(most):
        answer = g.ask('/api/x', **headers)
        if answer.status != 200:
            return number, answer
    return most, None


@task('limits', 'Rate limit per client', p8000='flask')
def per_client(t):
    with t.gateway() as g:
        count, refused = admitted(g, 200)
        check('the burst', 20 <= count < 200, count)
        equal('the next', refused.code, '429 RATE_LIMITED')
        check('when to retry', refused.headers['Retry-After'], refused.headers)
        equal('another client', g.ask('/', source=OTHER).status, 200)


@task('limits', 'Rate limit per API key', p8000='flask')
def per_key(t):
    with t.gateway() as g:
        first = g.ask('/api/x', X_Api_Key='a')
        check('what is left', first.headers['RateLimit'], first.headers)
        count, refused = admitted(g, 300, X_Api_Key='a')
        check('the key', 99 <= count < 300 and refused.code == '429 RATE_LIMITED', count)
        equal('another key', g.ask('/api/x', X_Api_Key='b').status, 200)
        count, refused = admitted(g, 300)
        check('without a key', 100 <= count < 300 and refused.code == '429 RATE_LIMITED', count)
        equal('another client without a key', g.ask('/api/x', source=OTHER).status, 200)


@task('limits', 'Stricter for the login', p8000='flask')
def login_limit(t):
    with t.gateway() as g:
        equal('attempts', [g.ask('/login', 'POST', 'x').status for _ in range(6)], [200] * 5 + [429])
        equal('the form, another page, another client',
              [g.ask('/login').status, g.ask('/').status, g.ask('/login', 'POST', 'x', source=OTHER).status], [200] * 3)


@task('limits', 'Larger uploads on one route', p8000='flask')
def uploads(t):
    with t.gateway() as g:
        equal('an upload', g.ask('/uploads/x', 'PUT', b'x' * 3_000_000).json['size'], 3_000_000)
        equal('elsewhere', g.ask('/x', 'PUT', b'x' * 1_000_000).json['size'], 1_000_000)
        with contextlib.closing(g.connect()) as connection:
            g.send(connection, '/x', 'PUT', headers={'Content-Length': '1048577'})
            equal('too large elsewhere, before it is sent', connection.getresponse().status, 413)


@task('limits', 'A slow report', p8000='flask')
def slow_report(t):
    with t.gateway() as g:
        equal('elsewhere', g.ask('/slow').code, '504 UPSTREAM_TIMEOUT')
        equal('the report', g.ask('/reports/slow').text, 'a report')


@task('limits', 'Limits shared by several gateways', p8000='flask', p6379='redis')
def shared(t):
    with t.gateway() as one, t.gateway() as other:
        statuses = [(one, other)[number % 2].ask('/').status for number in range(22)]
        check('both together', statuses[:20] == [200] * 20 and 429 in statuses, statuses)
    with t.gateway(p6379='dead') as g:
        equal('without Redis', g.ask('/').status, 200)


# -- Streams

@task('streams', 'Server-sent events and long polling', p8000='flask')
def events(t):
    with t.gateway() as g, contextlib.closing(g.connect()) as connection:
        g.send(connection, '/events/stream', headers={'Accept': 'text/event-stream'})
        response = connection.getresponse()
        first = response.read1()
        check('the first event comes before the last', b'data: 0' in first and b'data: 2' not in first, first)
        check('all events', b'data: 2' in response.read())


@task('streams', 'WebSocket', p8000='express')
def sockets(t):
    with t.gateway() as g:
        with websocket('ws://127.0.0.1:%d/socket' % g.port) as connection:
            connection.send('one')
            equal('an echo', connection.recv(10), 'echo one')
        try:
            websocket('ws://127.0.0.1:%d/other' % g.port).close()
            check('elsewhere', False, 'the handshake succeeded')
        except InvalidStatus as refused:
            equal('elsewhere', refused.response.status_code, 501)
        equal('a page', g.ask('/hello').text, 'hello')


@task('streams', 'gRPC', p50051='grpc')
def rpc(t):
    def call(channel, name, kind='unary_unary'):
        return getattr(channel, kind)('/greeter.Greeter/' + name)
    with t.gateway() as g, grpc.insecure_channel('127.0.0.1:%d' % g.port) as channel:
        equal('a call', call(channel, 'Hello')(b'you', timeout=10), b'hello you')
        stream = call(channel, 'Count', 'unary_stream')(b'n', timeout=10)
        equal('a stream', list(stream), [b'n 0', b'n 1', b'n 2'])
        check('its trailers', ('x-count', '3') in [tuple(pair) for pair in stream.trailing_metadata()], stream.trailing_metadata())
        equal('an error', refused(lambda: call(channel, 'Fail')(b'', timeout=10)), (grpc.StatusCode.NOT_FOUND, 'There is no such greeting.'))
    with t.gateway(p50051='dead') as g, grpc.insecure_channel('127.0.0.1:%d' % g.port) as channel:
        equal('without the service', refused(lambda: call(channel, 'Hello')(b'', timeout=10))[0], grpc.StatusCode.UNAVAILABLE)


def refused(call):
    try:
        return call()
    except grpc.RpcError as error:
        return error.code(), error.details()


# -- Errors and headers

@task('errors', 'Keep an error of the service', p8000='flask')
def kept(t):
    with t.gateway() as g:
        busy = g.ask('/webhooks/busy')
        equal('it passes', (busy.status, busy.json, busy.headers['X-Queue']), (503, {'state': 'busy', 'queue': 17}, '17'))
        equal('elsewhere', g.ask('/busy').code, '503 UPSTREAM_UNAVAILABLE')
        pay = g.ask('/cart/pay', 'POST', 'x')
        equal('members', (pay.status, pay.json['error']['message'], pay.json['error']['details']['upstream']),
              (422, 'The balance is too low.', {'balance': 12, 'items': ['apple']}))


@task('errors', 'Try Lockgate without changing a response', p8000='flask')
def dry_run(t):
    with t.gateway() as g:
        busy = g.ask('/busy')
        equal('it passes', (busy.status, busy.json), (503, {'state': 'busy', 'queue': 17}))
        g.logged('"dryRun"', 'UPSTREAM_UNAVAILABLE')


@task('errors', 'Error pages in your own look', p8000='flask')
def own_pages(t):
    os.mkdir(t.folder + '/pages')
    for name, title in (('default', 'Oops'), ('5xx', 'Our fault'), ('404.ko', '\uc5c6\uc74c')):
        with open('%s/pages/%s.html' % (t.folder, name), 'w') as file:
            file.write('<!doctype html><title>%s</title><p>{{message}} {{requestId}}' % title)
    with t.gateway() as g:
        page = g.ask('/broken', Accept='text/html')
        check('browsers', page.status == 502 and 'Our fault' in page.text and 'hunter2' not in page.text, page.text)
        equal('clients of an API', g.ask('/broken', Accept='application/json').code, '502 UPSTREAM_ERROR')


@task('errors', 'Errors in a format of your own', p8000='flask')
def own_format(t):
    with t.gateway() as g:
        broken = g.ask('/broken')
        told = dict(broken.json)
        equal('the id', told.pop('ref'), broken.headers['X-Request-Id'])
        equal('the object', (broken.status, told.pop('ok'), told.pop('error'), told.pop('fields')), (502, False, 'UPSTREAM_ERROR', {}))
        check('the text', told.pop('text') and not told, told)
        check('browsers', '<html' in g.ask('/broken', Accept='text/html').text)


@task('errors', 'Errors in Korean and English', p8000='flask')
def languages(t):
    with t.gateway() as g:
        korean, english = g.ask('/broken'), g.ask('/broken', Accept_Language='en-GB,en;q=0.9')
        equal('codes', (korean.code, english.code), ('502 UPSTREAM_ERROR',) * 2)
        check('Korean', re.search('[\uac00-\ud7a3]', korean.text), korean.text)
        check('English', not re.search('[\uac00-\ud7a3]', english.text) and english.headers['Content-Language'] == 'en', english.text)


@task('errors', 'Hide and add headers', p8000='flask')
def headers(t):
    with t.gateway() as g:
        for path, status in (('/', 200), ('/broken', 502)):
            answer = g.ask(path)
            found = {name: answer.headers[name] for name in ('X-Content-Type-Options', 'X-Frame-Options', 'Referrer-Policy', 'Server', 'X-Powered-By')}
            equal(path, (answer.status, list(found.values())), (status, ['nosniff', 'DENY', 'same-origin', None, None]))


# -- Backends

@task('backends', 'https with a private authority', ('internal.pem', 'ca.pem'), p8443='tls')
def private_authority(t):
    with t.gateway() as g:
        equal('the backend', g.ask('/').text, 'HTTP/2.0 orders.internal')
    with t.gateway([('orders.internal', 'other.internal')]) as g:
        equal('another name', g.ask('/').code, '502 UPSTREAM_UNREACHABLE')
        g.logged('tls_certificate_error')


@task('backends', 'https with a self-signed certificate', p8443='self_signed')
def self_signed(t):
    shell = ('openssl x509 -in %s/self.pem -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64')
    pin = subprocess.run(shell % t.apps.folder, shell=True, text=True, stdout=subprocess.PIPE, check=True).stdout.strip()
    with t.gateway([('4a6cPehI7OG6cuDZka5NDZ7FR8a60d3auda+sKfg4Ng=', pin)]) as g:
        equal('the backend', g.ask('/').text, 'self')
    with t.gateway() as g:
        equal('another key', g.ask('/').code, '502 UPSTREAM_UNREACHABLE')


@task('backends', 'HTTP/2 to a backend', p8000='h2c')
def to_http2(t):
    with t.gateway() as g:
        equal('the backend', g.ask('/').text, 'HTTP/2.0')


@task('backends', 'Several endpoints', p8000='flask', p8001='second')
def endpoints(t):
    t.apps.flask('second')
    t.apps.wait('second')
    with t.gateway() as g:
        equal('both serve', {g.ask('/').headers['X-App'] for _ in range(40)}, {'flask', 'second'})
        t.apps.stop('second')
        equal('one is gone', {g.ask('/').status for _ in range(40)}, {200})
    with t.gateway(p8000='dead') as g:
        check('all are gone', g.ask('/').code in ('502 UPSTREAM_UNREACHABLE', '503 UPSTREAM_UNAVAILABLE'))


@task('backends', 'Retries', p8000='flask', p8001='flaky')
def retries(t):
    with t.gateway() as g:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            equal('one is flaky', {answer.text for answer in pool.map(lambda _: g.ask('/flaky'), range(30))}, {'flask'})
