"""Installs the applications below target/apps, and starts them on free ports of loopback. Knows nothing of the gateway."""
import contextlib, hashlib, os, shutil, signal, socket, subprocess, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TARGET = os.path.join(ROOT, 'target/apps')
PYTHON, DJANGO2, NODE, JAVA = (os.path.join(TARGET, name) for name in ('python', 'django2', 'node', 'java'))
# Their versions are part of what is tested.
PACKAGES = {
    PYTHON: ['django>=5.2,<6', 'flask>=3,<4', 'wsgidav>=4.3,<5', 'cheroot>=10', 'grpcio>=1.60,<2', 'websockets>=13'],
    DJANGO2: ['django==2.2.28'],
    NODE: ['express@4', 'express-session@1', 'ws@8'],
}
JAR = '/usr/share/java/tomcat10-embed-core.jar'
JARS = JAR + ':/usr/share/java/tomcat10-annotations-api.jar'
DEBIAN = {'nginx': 'nginx-light', 'php': 'php-cli', 'redis-server': 'redis-server', 'openssl': 'openssl', 'node': 'nodejs', 'npm': 'npm',
          'javac': 'default-jdk-headless'}


class Missing(Exception):
    """An application cannot be installed here."""


def quiet(*words, **more):
    done = subprocess.run(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)
    if done.returncode:
        raise Missing('%s: %s' % (' '.join(words[:4]), done.stdout.strip()[-600:]))


def install():
    """Installs what is missing."""
    missing = [package for program, package in DEBIAN.items() if not shutil.which(program)]
    missing += [] if os.path.exists(JAR) else ['libtomcat10-embed-java']
    if missing:
        if os.geteuid() or not shutil.which('apt-get'):
            raise Missing('these Debian packages are missing: ' + ' '.join(missing))
        quiet('apt-get', 'update', '-qq')
        quiet('apt-get', 'install', '-y', '-qq', '--no-install-recommends', *missing, env=dict(os.environ, DEBIAN_FRONTEND='noninteractive'))
    os.makedirs(TARGET, exist_ok=True)
    for folder, packages in PACKAGES.items():
        once(folder, ' '.join(packages), lambda: node(packages) if folder == NODE else python(folder, packages))
    source = os.path.join(HERE, 'TomcatSite.java')
    once(JAVA, open(source).read(), lambda: quiet('javac', '-cp', JARS, '-d', JAVA, source))


def once(folder, wanted, make):
    """Makes a folder unless it was made of the same before."""
    stamp, wanted = os.path.join(folder, 'made-of'), hashlib.sha256(wanted.encode()).hexdigest()
    with contextlib.suppress(OSError):
        if open(stamp).read() == wanted:
            return
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    make()
    with open(stamp, 'w') as file:
        file.write(wanted)


def python(folder, packages):
    quiet(sys.executable, '-m', 'venv', folder)
    quiet(folder + '/bin/pip', 'install', '--quiet', '--disable-pip-version-check', *packages)


def node(packages):
    quiet('npm', 'install', '--no-audit', '--no-fund', '--silent', '--prefix', NODE, *packages)


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def wait(what, holds, seconds=60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if holds():
                return
        time.sleep(0.02)
    sys.exit('FAILED: waited in vain until ' + what)


def certificates(folder):
    """A private authority with a certificate for orders.internal and one for clients, and a self-signed certificate."""
    def openssl(*words):
        quiet('openssl', *words, cwd=folder)
    key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
    openssl('req', '-x509', *key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=Private authority')
    openssl('req', '-x509', *key, '-keyout', 'self.key', '-out', 'self.pem', '-subj', '/CN=printer')
    for name in ('orders.internal', 'localhost', 'client'):
        with open(os.path.join(folder, name + '.ext'), 'w') as file:
            file.write('subjectAltName=DNS:%s,IP:127.0.0.1\n' % name)
        openssl('req', *key, '-keyout', name + '.key', '-out', name + '.csr', '-subj', '/CN=' + name)
        openssl('x509', '-req', '-in', name + '.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-out',
                name + '.crt', '-extfile', name + '.ext')


NGINX = '''daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr crit;
events {{ }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi; default_type text/plain;
  server {{ listen 127.0.0.1:{static}; root {folder}/www; }}
  server {{ listen 127.0.0.1:{dav}; root {folder}/nginx-dav; dav_methods PUT DELETE MKCOL COPY MOVE; }}
  server {{ listen 127.0.0.1:{h2c} http2; return 200 "$server_protocol"; }}
  server {{ listen 127.0.0.1:{tls} ssl http2; ssl_certificate {folder}/orders.internal.crt; ssl_certificate_key {folder}/orders.internal.key;
    return 200 "$server_protocol $ssl_server_name"; }}
  server {{ listen 127.0.0.1:{self_signed} ssl; ssl_certificate {folder}/self.pem; ssl_certificate_key {folder}/self.key; return 200 self; }}
}}
'''


class Apps:
    """The running applications: `port[NAME]`. The end of `with` ends all of them."""

    def __init__(self, folder):
        self.folder, self.port, self.running = folder, {'dead': free_port()}, {}

    def __enter__(self):
        try:
            self.begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def begin(self):
        certificates(self.folder)
        for name, words in {
            'django2': [DJANGO2 + '/bin/python', HERE + '/django_site.py', '{port}', '{folder}'],
            'django5': [PYTHON + '/bin/python', HERE + '/django_site.py', '{port}', '{folder}'],
            'express': ['node', HERE + '/express_site.js', '{port}'],
            'tomcat': ['java', '-Xmx128m', '-XX:TieredStopAtLevel=1', '-cp', JAVA + ':' + JARS, 'TomcatSite', '{port}', '{folder}'],
            'php': ['php', '-q', '-S', '127.0.0.1:{port}', HERE + '/dump.php'],
            'webdav': [PYTHON + '/bin/python', HERE + '/webdav_site.py', '{port}', '{folder}/files'],
            'grpc': [PYTHON + '/bin/python', HERE + '/grpc_site.py', '{port}'],
            'redis': ['redis-server', '--port', '{port}', '--bind', '127.0.0.1', '--save', '', '--dir', '{folder}'],
        }.items():
            self.start(name, words)
        for name in ('flask', 'canary', 'flaky'):
            self.flask(name)
        self.flask('behind', 2)
        self.nginx()
        for name in self.port:
            if name != 'dead':
                self.wait(name)

    def flask(self, name, proxies=1):
        self.start(name, [PYTHON + '/bin/python', HERE + '/flask_site.py', '{port}', name, str(proxies)])

    def nginx(self):
        for name in ('static', 'dav', 'h2c', 'tls', 'self_signed'):
            self.port[name] = free_port()
        for name in ('www', 'nginx-dav'):
            os.makedirs(os.path.join(self.folder, name))
        with open(self.folder + '/www/page.txt', 'w') as file:
            file.write('a static page\n')
        with open(self.folder + '/nginx.conf', 'w') as file:
            file.write(NGINX.format(folder=self.folder, **self.port))
        self.running['static'] = self.run('nginx', ['nginx', '-c', self.folder + '/nginx.conf', '-p', self.folder])

    def start(self, name, words):
        folder = os.path.join(self.folder, name)
        os.makedirs(folder)
        self.port[name] = free_port()
        self.running[name] = self.run(name, [word.format(port=self.port[name], folder=folder) for word in words])

    def run(self, name, words):
        log = open(os.path.join(self.folder, name + '.log'), 'w')
        # Express is found from its own folder; the rest does not look there.
        environment = dict(os.environ, NODE_PATH=NODE + '/node_modules', PYTHONWARNINGS='ignore', PYTHONDONTWRITEBYTECODE='1')
        return subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment)

    def wait(self, name):
        def answers():
            process = self.running.get(name)
            if process and process.poll() is not None:
                sys.exit('FAILED: %s did not start:\n%s' % (name, open(os.path.join(self.folder, name + '.log')).read()[-3000:]))
            socket.create_connection(('127.0.0.1', self.port[name]), 1).close()
            return True
        wait(name + ' listens', answers)

    def stop(self, name):
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __exit__(self, *_):
        for process in self.running.values():
            process.terminate()
        for name in list(self.running):
            self.stop(name)
