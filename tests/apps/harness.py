"""Starts the gateway with a configuration of docs/how-to or docs/applications.md, and asks it as clients do. Knows no application and no task."""
import contextlib, http.client, json, os, re, signal, socket, ssl, subprocess, threading

from programs import ROOT, free_port, wait

PAGES = os.path.join(ROOT, 'docs/how-to')
APPLICATIONS = 'applications.md'
# Clients differ by their addresses: of these, the last two stand for 10.0.0.0/8 in the pages.
STRANGER, OTHER, OFFICE, BALANCER = '127.0.0.1', '127.0.0.2', '127.0.1.1', '127.0.1.2'
NETWORK = ('10.0.0.0/8', '127.0.1.0/24')


def check(what, holds, shown=''):
    if not holds:
        raise AssertionError('%s: %s' % (what, shown))


def equal(what, got, want):
    check(what, got == want, '%r instead of %r' % (got, want))


def blocks():
    """The configuration of each task, by page and heading."""
    found = {}
    for path in [os.path.join(PAGES, name) for name in sorted(os.listdir(PAGES))] + [os.path.join(ROOT, 'docs', APPLICATIONS)]:
        for section in re.split(r'^## ', open(path).read(), flags=re.M)[1:]:
            for block in re.findall(r'```toml\n(.*?)```', section, re.S):
                # Cases are no configuration: tests/it/binary/documents.rs runs them.
                if '[[cases]]' not in block:
                    found[os.path.basename(path), section.split('\n', 1)[0]] = block
    return found


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.bytes = response.status, response.headers, response.read()
        self.text = self.bytes.decode('utf-8', 'replace')

    @property
    def json(self):
        return json.loads(self.text)

    @property
    def code(self):
        """The code of an error of the gateway."""
        check('an envelope', self.text.startswith('{'), '%d %s' % (self.status, self.text[:300]))
        return '%d %s' % (self.status, self.json['error']['code'])

    def cookies(self):
        return '; '.join(value.split(';')[0] for value in self.headers.get_all('Set-Cookie') or [])


class Gateway:
    """A gateway with one configuration. The end of `with` ends it."""

    def __init__(self, program, folder, text):
        self.lines, self.tls = [], None
        if '0.0.0.0:8443' in text:
            self.tls = free_port()
            text = text.replace('0.0.0.0:8443', '127.0.0.1:%d' % self.tls)
        path = os.path.join(folder, 'lockgate.toml')
        with open(path, 'w') as file:
            file.write(text)
        words = [program, 'run', '--config', path, '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0']
        self.process = subprocess.Popen(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        first = self.process.stdout.readline()
        while first and '"admin":' not in first:
            self.lines.append(first)
            first = self.process.stdout.readline()
        if not first:
            self.process.wait()
            raise AssertionError('the gateway did not start:\n' + ''.join(self.lines))
        self.port = int(json.loads(first)['address'].rsplit(':', 1)[1])
        self.admin = int(json.loads(first)['admin'].rsplit(':', 1)[1])
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout), daemon=True)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.reader.join(5)

    def logged(self, *words):
        """Waits for a line of the log with all of these words."""
        wait('the log has %s' % (words,), lambda: any(all(word in line for word in words) for line in list(self.lines)), 10)

    def ask(self, path, method='GET', body=None, host='shop.example.com', source=STRANGER, context=None, **headers):
        """One request on a connection of its own; redirects are not followed. `Content_Type` is the header `Content-Type`."""
        with contextlib.closing(self.connect(source, context)) as connection:
            self.send(connection, path, method, body, host, headers)
            return Answer(connection.getresponse())

    def connect(self, source=STRANGER, context=None):
        if context:
            return http.client.HTTPSConnection('127.0.0.1', self.tls, timeout=20, source_address=(source, 0), context=context)
        return http.client.HTTPConnection('127.0.0.1', self.port, timeout=20, source_address=(source, 0))

    def send(self, connection, path, method='GET', body=None, host='shop.example.com', headers=()):
        body = body.encode() if isinstance(body, str) else body
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        headers = {name.replace('_', '-'): value for name, value in dict(headers).items()}
        for name, value in {'Host': host, **headers, **({} if body is None else {'Content-Length': str(len(body))})}.items():
            connection.putheader(name, value)
        connection.endheaders(body)

    def raw(self, text, source=STRANGER):
        """Sends bytes as they are; what comes back until the connection ends."""
        with socket.create_connection(('127.0.0.1', self.port), 10, (source, 0)) as stream:
            stream.sendall(text.encode())
            received = b''
            with contextlib.suppress(ConnectionError):
                while part := stream.recv(65536):
                    received += part
            return received.decode()
